"""The server's port."""

import errno
import socket
import sys

from tabpy.tabpy_server.errors import StartError

ALL = "::"  # every address of this machine, of IPv6 and of IPv4
ALL_IPV4 = "0.0.0.0"  # noqa: S104 - a server is there to be reached # nosec B104
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
MAPPED = "::ffff:"  # how a socket of both calls an IPv4 address (RFC 4291, section 2.5.5.2)


def bind(address: str, port: int, setting: str = "TABPY_PORT") -> socket.socket:
    """Take the port, which doesn't open it yet. `::` is every address; where there is no IPv6,
    every one of IPv4. Raises StartError, which names the `setting`, if it can't be had."""
    try:
        return _bound(address, port)
    except OSError as error:
        if address == ALL and error.errno in NO_IPV6:
            return bind(ALL_IPV4, port, setting)
        raise StartError(
            f"{setting} is {port} (on TABPY_ADDRESS {address}): {error.strerror}."
        ) from None


def _bound(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        if sys.platform != "win32":  # where two servers could take one port with that
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != ALL))
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def plain(address: str) -> str:
    """Return a caller's address as people write it, and proxies' addresses are set."""
    is_mapped = address.startswith(MAPPED) and "." in address
    return address.removeprefix(MAPPED) if is_mapped else address
