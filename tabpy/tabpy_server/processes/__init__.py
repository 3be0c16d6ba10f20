"""The server's processes, from the arbiter down."""
