"""HTTP/1.1: from the bytes of a connection to requests for tornado's handlers, and back."""
