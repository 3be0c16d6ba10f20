"""https spoken to a server of http, or the reverse: found out by asking, without credentials."""

import contextlib
import http.client
import socket
import ssl
from urllib.parse import urlsplit

_PATIENCE = 2.0  # seconds for a server that is there
_PORTS = {"http": 80, "https": 443}


def mistaken(url: str) -> str | None:
    """Say which address would be right where the server at `url` speaks the other of http and
    https; None where it doesn't, doesn't answer, or is behind a proxy.

    Takes two seconds at most, and a connection or two.
    """
    scheme, host, port = _place(url)
    if not host or _is_behind_a_proxy(url):
        return None
    speaks_other = _speaks_http if scheme == "https" else _speaks_tls
    if not speaks_other(host, port):
        return None
    other = "http" if scheme == "https" else "https"
    right = f"{other}{url.removeprefix(scheme)}"
    return f"The server at {urlsplit(url).netloc} speaks {other}, not {scheme}: use {right}."


def may_be_mistaken(url: str) -> bool:
    """Tell whether a server leaves a TLS greeting unanswered, at an https address of unusual port.

    A server of http may wait for the rest of what it takes for a request, so that the client would
    wait, too. A server of https has answered within a moment.
    """
    scheme, host, port = _place(url)
    if scheme != "https" or port == _PORTS["https"] or not host or _is_behind_a_proxy(url):
        return False
    try:
        _greet(host, port)
    except TimeoutError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _place(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _speaks_http(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    with contextlib.closing(connection):
        try:
            connection.request("HEAD", "/")
            # 400: so answers a server of https that knows plain http when it sees it.
            return connection.getresponse().status != http.client.BAD_REQUEST
        except (OSError, http.client.HTTPException, ValueError):
            return False


def _speaks_tls(host: str, port: int) -> bool:
    try:
        _greet(host, port)
    except (OSError, ValueError):
        return False
    return True


def _greet(host: str, port: int) -> None:
    """Shake hands, and leave: nothing is sent, so it doesn't matter whose certificate it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=_PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


def _is_behind_a_proxy(url: str) -> bool:
    from requests.utils import get_environ_proxies, select_proxy

    return select_proxy(url, get_environ_proxies(url)) is not None
