"""The server's port."""

import socket

from tabpy.tabpy_server.errors import StartError


def bind(address: str, port: int) -> socket.socket:
    """Take the port, which doesn't open it yet. Raises StartError if it can't be had."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"TABPY_PORT is {port} (on TABPY_ADDRESS {address}): {error.strerror}."
        ) from None
    return listener
