"""Who called, and how, when a proxy stands in between: Heroku's router or somebody's own."""

import contextlib
import ipaddress

from tornado.httputil import HTTPServerRequest


class TrustedProxies:
    """The addresses whose X-Forwarded headers are believed: a comma list, or `*` for everybody's.

    gunicorn's environment variable FORWARDED_ALLOW_IPS has this form, and Heroku sets it to `*`,
    where nobody but the router can reach the server.
    """

    def __init__(self, allowed: str) -> None:
        names = {name.strip() for name in allowed.split(",")}
        self._all = "*" in names
        self._addresses = names

    def apply(self, request: HTTPServerRequest) -> None:
        """Set the request's `remote_ip` and `protocol` to the original ones.

        Of several addresses the last is what the proxy saw; those before are the client's word.
        X-Real-Ip and X-Scheme are never read, since Heroku's router passes on a client's own.
        """
        if not (self._all or request.remote_ip in self._addresses):
            return
        forwarded = request.headers.get("X-Forwarded-For")
        if forwarded is not None:
            with contextlib.suppress(ValueError):
                address = forwarded.rpartition(",")[2].strip()
                request.remote_ip = str(ipaddress.ip_address(address))
        protocol = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip()
        if protocol in ("http", "https"):
            request.protocol = protocol
