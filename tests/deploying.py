"""Deploying without the client: the requests themselves, right ones and wrong ones."""

import http.client
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psutil

from tabpy.tabpy_tools.archive import archived
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.running import PASSWORD, USER, Reply, Server, basic, until

BOUNDARY = "a-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def archive_of(function: Callable[..., Any]) -> bytes:
    """What the client would send."""
    with archived(CustomQueryObject(function)) as archive:
        return archive.file.read()


def part(name: str, content: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(metadata: Mapping[str, Any], archive: bytes) -> bytes:
    return form(part("metadata", json.dumps(metadata).encode()), part("archive", archive))


def deploy(server: Server, name: str, code: Callable[..., Any] | bytes, **metadata: Any) -> Reply:
    """A new endpoint. `code`: a function, or the bytes to send for one."""
    archive = code if isinstance(code, bytes) else archive_of(code)
    body = upload({"name": name, **metadata}, archive)
    return server.request("POST", "/endpoints", body, headers=FORM)


def redeploy(server: Server, name: str, code: Callable[..., Any] | bytes, **metadata: Any) -> Reply:
    """A new version."""
    archive = code if isinstance(code, bytes) else archive_of(code)
    return server.request(
        "PUT", f"/endpoints/{quote(name)}", upload(metadata, archive), headers=FORM
    )


def server_with(constant: str, value: float) -> list[str]:
    """The server's command, with a constant that tests would have to wait for made small."""
    place, _, name = constant.rpartition(".")
    start = (
        f"import pkgutil; setattr(pkgutil.resolve_name({place!r}), {name!r}, {value}); "
        "import tabpy.__main__ as tabpy; tabpy.main()"
    )
    return [sys.executable, "-c", start]


class Line:
    """A kept connection, and so always to the same web process."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.request("GET", "/healthz")
        own = self._connection.sock.getsockname()
        self.web_process: int = until(
            lambda: next((each.pid for each in server.web_processes() if holds(each, own)), None),
            "a web process has this connection",
        )

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        own = {"Authorization": basic(USER, PASSWORD), **(headers or {})}
        self._connection.request(method, path, body, own)
        response = self._connection.getresponse()
        return Reply(response.status, response.headers, response.read())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def lines(server: Server) -> Iterator[list[Line]]:
    """One to each web process."""
    opened: list[Line] = []

    def everybody_is_reached() -> bool:
        opened.append(Line(server))
        reached = {each.web_process for each in opened}
        return reached == {each.pid for each in server.web_processes()}

    try:
        until(everybody_is_reached, "a connection to each web process")
        yield list({each.web_process: each for each in opened}.values())
    finally:
        for each in opened:
            each.close()


def holds(process: psutil.Process, client: tuple[str, int]) -> bool:
    """Whether it is the process at the other end of a client's connection."""
    address, port = client
    known = {(address, port), (f"::ffff:{address}", port)}  # on a socket of IPv6, too
    return any(each.raddr in known for each in process.net_connections("tcp"))
