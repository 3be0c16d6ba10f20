"""The routes in this process: a request takes a millisecond, and no other process is started.

    def test_the_server_tells_its_name(web: Web) -> None:
        assert web.request("GET", "/info").json["name"] == "TabPy Server"

`web` has the settings a server has by default; the fixture `serve` takes others, fakes in the
place of what a handler needs (see `make_context`), and `routes` of the test's own. Requests that a
client library wouldn't make are typed out over a `Connection`, in a coroutine that `Web.run` runs
on the server's own loop.
"""

import asyncio
import http.client
import io
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from tornado.netutil import add_accept_handler, bind_sockets

from tabpy.tabpy_server import errors
from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.activity.activity import Activity
from tabpy.tabpy_server.activity.board import Board
from tabpy.tabpy_server.functions.pure_calls import PureCalls
from tabpy.tabpy_server.functions.result_cache import ResultCache
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.rights import ALL, Rights
from tabpy.tabpy_server.script_rules import InForce
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.web.connections import Connections
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.http1.server import Server
from tabpy.tabpy_server.web.proxy import TrustedProxies
from tabpy.tabpy_server.web.routes import make_entrance
from tabpy.tabpy_server.web.server_info import Service
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tests.running import PASSWORD, PATIENCE, USER, Reply, basic

T = TypeVar("T")

SIGNED_IN = basic(USER, PASSWORD)


@dataclass
class FakeGate:
    """Knows one credential, from the start or only once it has been verified."""

    remembers: bool = True
    required: bool = True
    rights: Rights = ALL
    methods: Mapping[str, object] = field(default_factory=lambda: {"basic-auth": {}})
    users: Users | None = None

    def remembered(self, header: str | None) -> Person | None:
        return Person(USER, self.rights) if self.remembers and header == SIGNED_IN else None

    async def admit(self, header: str | None, address: str) -> Person:
        if header != SIGNED_IN:
            raise errors.WrongCredentialsError
        return Person(USER, self.rights)


class FakeCatalog:
    """Has no function."""

    broken: Mapping[str, str] = MappingProxyType({})
    pure: frozenset[str] = frozenset()
    change_token = "a change"
    size = 0
    store_problem = ""

    async def ask_store(self) -> str:
        return ""

    async def endpoints(self) -> dict[str, Any]:
        return {}

    async def pure_since(self, name: str) -> str | None:
        return self.change_token if name in self.pure else None

    async def endpoint(self, name: str) -> NoReturn:
        raise errors.UnknownEndpointError(name)


class FakeCheckup:
    """Hears of calls; `seen` are their functions, and whether they could be loaded."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def saw(self, name: str, *, loads: bool) -> None:
        self.seen.append((name, loads))


class FakePool:
    """Has no worker, and knows no function, but may be given an `outcome` of each job, or an
    `error`. `jobs` are those it was asked to run."""

    cannot_start = False
    has_started = True

    def __init__(
        self, outcome: Outcome | None = None, error: errors.TabPyError | None = None
    ) -> None:
        self.jobs: list[Job] = []
        self._outcome, self._error = outcome, error

    async def run(self, job: Job, _: Timing) -> Outcome:
        self.jobs.append(job)
        if self._error is not None:
            raise self._error
        if self._outcome is not None:
            return self._outcome
        if job.function is not None:
            raise errors.UnknownFunctionError(f"There is no function '{job.function}'.")
        raise errors.AllBusyError(1.0)


def make_context(
    settings: Mapping[str, Any] | None = None,
    *,
    service: Service | None = None,
    proxies: str = "127.0.0.1",
    **fakes: Any,
) -> Context:
    """A context with some settings (by their names in `Settings`) and with fakes in place of
    `gate`, `catalog`, `pool`, `deployer` and `checkup`."""
    made: dict[str, Any] = {
        "gate": FakeGate(),
        "confinement": InForce(landlock=6, seccomp=True),
        "catalog": FakeCatalog(),
        "pool": FakePool(),
        "deployer": None,
        "checkup": FakeCheckup(),
        **fakes,
    }
    read = Settings(**{"workers": 1, "model_memory_mb": 1.0, **(settings or {})})
    counters = Counters()
    results = ResultCache(int(read.result_cache_mb * (1 << 20)), read.result_cache_seconds)
    return Context(
        settings=read,
        service=service or Service(),
        proxies=TrustedProxies(proxies),
        counters=counters,
        pure_calls=PureCalls(made["catalog"], made["pool"], counters, results),
        activity=Activity(Board(1), 0),
        **made,
    )


class EchoHandler(BaseHandler):
    """Sends back what it got, and how many pieces that were."""

    route = "/echo"

    def post(self) -> None:
        pieces = self.whole_body()
        self.write_json({"body": b"".join(pieces).decode(), "pieces": len(pieces)})


class Connection:
    """A client's connection, on which a test types what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Hand `data` to the kernel. What the server no longer takes is dropped."""
        self._writer.write(data)
        await self._writer.drain()

    async def reply(self, method: str = "POST") -> Reply:
        """Read one reply to a request of `method`. Raises IncompleteReadError if none comes."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        headers = http.client.parse_headers(io.BytesIO(rest))
        body = b""
        if method != "HEAD":
            body = await self._reader.readexactly(int(headers.get("Content-Length", 0)))
        return Reply(int(first.split()[1]), headers, body)

    async def first(self) -> bytes:
        """Read the reply's head."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """Read whatever still comes until the server closes the connection."""
        return await self._reader.read()

    def pause(self) -> None:
        """Read no more."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def cut(self) -> None:
        """End the connection as a client does that crashes."""
        self._writer.transport.abort()


class Web:
    """A running server, in this process. `routes` are added to its own."""

    def __init__(
        self,
        context: Context,
        routes: Mapping[str, type[BaseHandler]] | None = None,
    ) -> None:
        self.context = context
        self.time = 0.0  # seconds, by the clock of its connections
        self.connections = Connections(1000, lambda: self.time)
        self._routes = list((routes or {}).items())
        self._runner = asyncio.Runner()
        self._runner.run(self._start())

    async def _start(self) -> None:
        [listener] = bind_sockets(0, "127.0.0.1")
        self.port = listener.getsockname()[1]
        entrance = make_entrance(self.context)
        entrance.application.add_handlers(".*", self._routes)
        self._server = Server(entrance, self.connections, self.context.certificate)
        self._stop_accepting = add_accept_handler(listener, self._take)
        self._listener = listener

    def _take(self, connection: socket.socket, address: Any) -> None:
        assert self.connections.make_room()
        self._server.take(connection, address)

    def run(self, exchange: Coroutine[Any, Any, T]) -> T:
        """Run `exchange` on the server's loop. Raises TimeoutError when it doesn't end."""

        async def with_patience() -> T:
            async with asyncio.timeout(PATIENCE):
                return await exchange

        return self._runner.run(with_patience())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Give the server turns until `condition` holds; `run` ends it when it never does."""
        while not condition():  # noqa: ASYNC110 - a turn of the loop, and no time
            await asyncio.sleep(0)

    @asynccontextmanager
    async def connection(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
        """A connection; with `tls`, the client's side of it, one of https."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()

    def send(self, text: bytes, method: str = "POST") -> Reply:
        """Send `text`, a whole request, and return the reply."""

        async def exchange() -> Reply:
            async with self.connection() as connection:
                await connection.send(text)
                return await connection.reply(method)

        return self.run(exchange())

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        authorization: str | None = SIGNED_IN,
    ) -> Reply:
        """Make a request; header values may be whatever Latin-1 can write."""
        sent = {"Host": f"127.0.0.1:{self.port}"}
        if authorization is not None:
            sent["Authorization"] = authorization
        if body:
            sent["Content-Length"] = str(len(body))
        return self.send(request_text(method, path, sent | dict(headers or {})) + body, method)

    def close(self) -> None:
        self._runner.run(self._stop())
        self._runner.close()

    async def _stop(self) -> None:
        self._stop_accepting()
        self._listener.close()
        await self._server.close()


def request_text(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """A request up to its body, as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
