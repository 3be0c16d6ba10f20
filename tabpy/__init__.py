"""TabPy, made anew: the server, the client library and the commands."""

__version__ = "3.0.0"
