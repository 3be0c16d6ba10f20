"""What the server has been doing in the last hour, for whoever looks at the page."""
