"""The names by which a server without passwords may be called.

A stranger's page can have its own name point at this machine (DNS rebinding). The browser then
takes page and server for one site, and only the `Host` header shows that they aren't. Where
passwords are asked for, the browser has none for that name; an open server has to look.
"""

import ipaddress
import socket
from collections.abc import Iterable

from tabpy.tabpy_server.web.headers import host_and_port

LOCAL = "localhost"  # and what lies below: no DNS is asked for these (RFC 6761, section 6.3)
ANY = "*"


class OwnNames:
    """This machine's names, and those that somebody has set."""

    def __init__(self, more: Iterable[str]) -> None:
        """`more`: names without a port; `*` stands for all."""
        own = socket.gethostname()
        self._names = {name.lower() for name in (own, own.partition(".")[0], *more) if name}

    def include(self, host: str) -> bool:
        """Tell whether a `Host` header names this server, or its address: those can't be had by a
        stranger."""
        # A browser never sends the part before an @, and urlsplit takes it away.
        name = host_and_port(host)[0].removesuffix(".") if "@" not in host else ""
        if ANY in self._names or name in self._names:
            return True
        return _is_local(name) or _is_address(name)


def is_this_machine(name: str) -> bool:
    """Tell whether a host's name, without a port, means the machine of who uses it."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return _is_local(name.removesuffix("."))


def _is_local(name: str) -> bool:
    return name == LOCAL or name.endswith(f".{LOCAL}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
