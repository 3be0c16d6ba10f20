"""Whose word counts for where a request came from."""

from dataclasses import dataclass

import pytest

from tabpy.tabpy_server.web.headers import RequestHeaders
from tabpy.tabpy_server.web.proxy import TrustedProxies

CALLER = "192.0.2.1"


@dataclass
class Request:
    """One that a proxy has passed on."""

    remote_ip: str
    protocol: str = "http"


def seen(allowed: str, proxy: str, **forwarded: str) -> tuple[str, str]:
    """Address and protocol of a request that `proxy` passed on, as the server sees it."""
    request = Request(proxy)
    sent = {f"x-forwarded-{name}": value for name, value in forwarded.items()}
    TrustedProxies(allowed).apply(request, RequestHeaders(sent))
    return request.remote_ip, request.protocol


@pytest.mark.parametrize(
    ("allowed", "proxy"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1,::1", "::1"),
        (" 10.0.0.5 , 10.0.0.6 ", "10.0.0.6"),
        ("10.0.0.0/8", "10.255.0.1"),
        ("10.0.0.5/8", "10.1.2.3"),
        ("127.0.0.1,172.16.0.0/12", "172.17.0.1"),
        ("fd00::/8", "fd12::1"),
        ("0.0.0.0/0", "198.51.100.7"),
        ("*", "198.51.100.7"),
        ("127.0.0.1,*", "198.51.100.7"),
        ("*", ""),
    ],
)
def test_a_trusted_proxy_is_believed(allowed: str, proxy: str) -> None:
    assert seen(allowed, proxy, **{"for": CALLER, "proto": "https"}) == (CALLER, "https")


@pytest.mark.parametrize(
    ("allowed", "proxy"),
    [
        ("127.0.0.1", "10.0.0.5"),
        ("10.0.0.0/8", "11.0.0.1"),
        ("10.0.0.0/8", "::1"),
        ("fd00::/8", "10.0.0.1"),
        ("0.0.0.0/0", "::1"),
        ("", "127.0.0.1"),
        (",", "127.0.0.1"),
        ("10.0.0.0/8", "/run/tabpy.sock"),
        ("10.0.0.0/8", ""),
    ],
)
def test_nobody_else_is(allowed: str, proxy: str) -> None:
    assert seen(allowed, proxy, **{"for": CALLER, "proto": "https"}) == (proxy, "http")


def test_of_several_addresses_the_last_counts() -> None:
    assert seen("*", "10.0.0.5", **{"for": f"198.51.100.7, {CALLER}"}) == (CALLER, "http")


@pytest.mark.parametrize("forwarded", ["", "unknown", "192.0.2.1:80", "192.0.2.1, _hidden"])
def test_what_is_no_address_says_nothing(forwarded: str) -> None:
    assert seen("*", "10.0.0.5", **{"for": forwarded}) == ("10.0.0.5", "http")


def test_what_is_neither_address_nor_network_is_refused() -> None:
    with pytest.raises(ValueError, match="proxy"):
        TrustedProxies("127.0.0.1,proxy.example")
