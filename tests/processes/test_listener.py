"""The port: open to IPv4 and IPv6 alike."""

import errno
import socket
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.processes import listener
from tabpy.tabpy_server.processes.listener import ALL, bind, plain
from tests.running import Server, free_port, until

needs_ipv6 = pytest.mark.skipif(
    not socket.has_dualstack_ipv6(), reason="this machine has no IPv6 beside IPv4"
)


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


@needs_ipv6
@pytest.mark.parametrize(
    ("address", "ipv4", "ipv6"),
    [
        (ALL, True, True),
        ("0.0.0.0", True, False),
        ("127.0.0.1", True, False),
        ("::1", False, True),
    ],
)
def test_it_listens_where_it_was_told(address: str, ipv4: bool, ipv6: bool) -> None:
    port = free_port()  # differences 27
    with bind(address, port) as bound:
        bound.listen()
        assert (answers("127.0.0.1", port), answers("::1", port)) == (ipv4, ipv6)


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_every_address_is_every_one_of_ipv4(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = listener._bound

    def bound(address: str, port: int) -> socket.socket:
        if ":" in address:
            raise OSError(number, "no IPv6 here")
        return real(address, port)

    monkeypatch.setattr(listener, "_bound", bound)
    port = free_port()
    with bind(ALL, port) as opened:
        opened.listen()
        assert answers("127.0.0.1", port)
    with pytest.raises(StartError, match=r"on TABPY_ADDRESS ::1\): no IPv6 here"):
        bind("::1", port)


@pytest.mark.parametrize("taken", ["0.0.0.0", "127.0.0.1"])
def test_a_port_that_is_taken_on_ipv4_alone_is_taken(taken: str) -> None:
    with socket.create_server((taken, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"^TABPY_PORT is {port}"):
            bind(ALL, port)


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:0:0", "::ffff:0:0"),
    ],
)
def test_a_callers_address_is_written_as_people_do(address: str, written: str) -> None:
    assert plain(address) == written


@needs_ipv6
def test_callers_of_both_kinds_are_answered_and_named(start: Callable[..., Server]) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_LOG_DETAILS": "true"})
    for address in ("127.0.0.1", "::1"):
        connection = socket.create_connection((address, server.port), timeout=20)
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        connection.close()
    lines = until(lambda: server.log_lines("caller=::1 "), "it's logged")
    assert len(lines) == 1
    assert server.log_lines("route=/healthz", "caller=127.0.0.1 ")


@pytest.mark.parametrize(("system", "shares"), [("win32", False), ("linux", True)])
def test_a_port_can_be_taken_again_at_once_where_that_lets_nobody_else_take_it(
    monkeypatch: pytest.MonkeyPatch, system: str, shares: bool
) -> None:
    monkeypatch.setattr("sys.platform", system)
    with bind("127.0.0.1", free_port()) as bound:
        assert bool(bound.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)) is shares
