"""What `tabpy-check` looks at, from the name of the host to the packages of the server."""
