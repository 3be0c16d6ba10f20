"""Who called, and how, when a proxy stands in between: Heroku's router or somebody's own."""

import ipaddress
from typing import Protocol

from tabpy.tabpy_server.web.headers import RequestHeaders


class Called(Protocol):
    """A request, as far as a proxy knows better who has made it, and how."""

    remote_ip: str
    protocol: str


class TrustedProxies:
    """The proxies whose X-Forwarded headers are believed.

    gunicorn's environment variable FORWARDED_ALLOW_IPS names them, and Heroku sets it to `*`,
    where nobody but the router can reach the server.
    """

    def __init__(self, allowed: str) -> None:
        """Take addresses, networks (10.0.0.0/8) and `*`, for everybody, separated by commas.

        Raises ValueError for anything else.
        """
        self._names = {name.strip() for name in allowed.split(",")} - {""}
        self._all = "*" in self._names
        # An address is a network of one. Bits behind the prefix are ignored: 10.0.0.5/8.
        self._networks = [ipaddress.ip_network(name, strict=False) for name in self._names - {"*"}]

    def apply(self, request: Called, headers: RequestHeaders) -> str | None:
        """Set the request's `remote_ip` and `protocol` to the original ones. Return the host and
        port that the proxy was called by; None if no proxy says so.

        Of several addresses the last is what the proxy saw; those before are the client's word.
        X-Real-Ip and X-Scheme are never read, since Heroku's router passes on a client's own.
        """
        if not self._trusts(request.remote_ip):
            return None
        request.remote_ip = headers.forwarded_for or request.remote_ip
        request.protocol = headers.forwarded_protocol or request.protocol
        return headers.forwarded_host

    def _trusts(self, caller: str | None) -> bool:
        if self._all or caller in self._names:  # most are: taking them apart would cost more
            return True
        try:
            address = ipaddress.ip_address(caller or "")
        except ValueError:  # no address at all: a socket file's caller has none
            return False
        return any(address in network for network in self._networks)
