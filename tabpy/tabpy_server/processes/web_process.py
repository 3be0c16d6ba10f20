"""One web process: its loop, its pool and its HTTP server, from the first request to the last."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Any

from tabpy import __version__
from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.activity.activity import Activity
from tabpy.tabpy_server.functions.announcements import Announcements
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.checkup import Checkup
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.environment import environment
from tabpy.tabpy_server.functions.model_sharing import share_models
from tabpy.tabpy_server.functions.open_store import open_store
from tabpy.tabpy_server.functions.pure_calls import PureCalls
from tabpy.tabpy_server.functions.renewal import Renewal
from tabpy.tabpy_server.functions.result_cache import ResultCache
from tabpy.tabpy_server.functions.tidy import keep_tidy
from tabpy.tabpy_server.metrics import prometheus
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.processes import descriptors
from tabpy.tabpy_server.processes.acceptor import Acceptor
from tabpy.tabpy_server.processes.engine import make_pool
from tabpy.tabpy_server.processes.listener import plain
from tabpy.tabpy_server.processes.prefork_state import PreforkState
from tabpy.tabpy_server.tls.served import keep_up_to_date
from tabpy.tabpy_server.web.connections import Connections
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.http1.server import Server
from tabpy.tabpy_server.web.proxy import TrustedProxies
from tabpy.tabpy_server.web.routes import make_entrance
from tabpy.tabpy_server.web.shortages import keep_watch
from tabpy.tabpy_server.workers.pool.launchers import Launcher

logger = logging.getLogger(__name__)

FIRST_SECONDS = 0.5  # that a connection may be old whose first request is waited for
ANSWER_SECONDS = 2.0  # to send "restarting" to whose scripts didn't end in time, and each reply
KEEP_ALIVE = 95.0  # seconds; Heroku's router keeps idle connections for 90
BODY_TIMEOUT = 300.0  # seconds in which a request's body has to have come
# An idle one takes 4 KB, one that has sent most of 64 KiB of headers 63 KB (measured).
MOST_CONNECTIONS = 1000


class WebProcess:
    """Everything that lives as long as the event loop of one web process."""

    def __init__(self, state: PreforkState, launcher: Launcher, others: int, place: int) -> None:
        """`others`: how many web processes there are besides. `place`: this one's number."""
        settings = state.settings
        counters = Counters()
        catalog = Catalog(
            lambda: open_store(settings, state.change_token, state.watching),
            settings.state_path / "archives",
            state.change_token,
            counters,
            environment(__version__),
        )
        pool = make_pool(settings, launcher, catalog, counters)
        announcements = Announcements(state.announcements, settings.state_path / "coming", others)
        self._renewal = Renewal(catalog, pool, announcements)
        deployer = Deployer(catalog, pool, self._renewal, settings.query_timeout)
        self._startup = state.startup
        self._context = Context(
            settings=settings,
            service=state.service,
            gate=state.gate,
            confinement=state.confinement,
            proxies=TrustedProxies(settings.trusted_proxies),
            catalog=catalog,
            pool=pool,
            pure_calls=PureCalls(
                catalog,
                pool,
                counters,
                ResultCache(
                    int(settings.result_cache_mb * (1 << 20)), settings.result_cache_seconds
                ),
            ),
            deployer=deployer,
            checkup=Checkup(catalog, deployer, pool),
            counters=counters,
            activity=Activity(state.board, place),
            function_figures=state.function_figures,
            startup_problems=state.startup.problems,
            certificate=state.certificate,
            tables=state.flight.tables if state.flight is not None else None,
            table_figures=state.flight.figures if state.flight is not None else None,
        )
        self._connections = Connections(
            descriptors.connections(MOST_CONNECTIONS),
            idle_seconds=KEEP_ALIVE,
            body_seconds=BODY_TIMEOUT,
        )
        self._stop_at_once = asyncio.Event()
        self._server = Server(make_entrance(self._context), self._connections, state.certificate)

    def stop_at_once(self) -> None:
        """Stop without waiting for scripts that run."""
        self._stop_at_once.set()

    async def serve(self, sockets: Sequence[socket.socket], stop: asyncio.Event) -> None:
        """Answer requests until `stop`, then finish those that have begun."""
        context = self._context
        loop = asyncio.get_running_loop()
        acceptors = [Acceptor(each, self._take, self._connections.make_room) for each in sockets]
        watching = loop.create_task(self._connections.watch())
        await self._wait_for_workers(stop)
        settings = context.settings
        fields = {"workers": settings.workers, "isolation": settings.script_isolation.value}
        logger.info("ready", extra={"fields": fields})
        if context.loses_functions:
            logger.warning(context.loses_functions)
        starting = loop.create_task(
            self._startup.run(context.catalog, context.deployer, context.pool, settings)
        )
        starting.add_done_callback(_report)
        sharing = loop.create_task(
            share_models(context.catalog, context.pool.shelves, settings.model_memory_mb)
        )
        tidying = loop.create_task(keep_tidy(context.catalog, settings.state_path / "incoming"))
        renewing = loop.create_task(self._renewal.keep())
        checking = loop.create_task(context.checkup.keep(settings.state_path))
        publishing = loop.create_task(
            prometheus.publish(context.counters, context.pool, context.catalog)
        )
        noting = loop.create_task(context.activity.keep(context.pool, settings.workers))
        certifying = loop.create_task(keep_up_to_date(context.certificate))
        looking = loop.create_task(keep_watch(settings))
        caching = loop.create_task(context.pure_calls.keep())
        fetching = loop.create_task(_keep_keys(context.gate))
        await stop.wait()
        for task in (
            starting,
            sharing,
            tidying,
            renewing,
            checking,
            certifying,
            looking,
            caching,
            fetching,
        ):
            task.cancel()
        for acceptor in acceptors:
            acceptor.close()
        await self._drain()
        await self._server.close(ANSWER_SECONDS)
        watching.cancel()
        noting.cancel()
        publishing.cancel()
        await asyncio.wait((publishing,))  # so that what ended in the drain is counted, too

    async def _wait_for_workers(self, stop: asyncio.Event) -> None:
        """Wait until scripts can run, unless told to stop. Requests are answered meanwhile, jobs
        wait; what a server does besides would only take their workers' time."""
        loop = asyncio.get_running_loop()
        either = (loop.create_task(self._context.pool.start()), loop.create_task(stop.wait()))
        over, others = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for each in others:
            each.cancel()
        for each in over:
            each.result()

    async def _drain(self) -> None:
        """Answer the requests that have begun, those that wait for a worker too: with their
        results while there's time."""
        drained = asyncio.ensure_future(self._all_answered())
        at_once = asyncio.ensure_future(self._stop_at_once.wait())
        limit = self._context.settings.drain_timeout
        await asyncio.wait((drained, at_once), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        self._context.pool.close()
        await asyncio.wait((drained,), timeout=ANSWER_SECONDS)
        drained.cancel()

    async def _all_answered(self) -> None:
        """Wait for the requests that have begun, and for those that are about to."""
        await self._context.traffic.drained()
        await self._connections.first_requests(FIRST_SECONDS)
        await self._context.traffic.drained()

    def _take(self, connection: socket.socket, address: Any) -> None:
        if connection.family == socket.AF_INET6:
            address = plain(address[0]), *address[1:]
        self._server.take(connection, address)


async def _keep_keys(gate: Gate | OpenGate | TokenGate) -> None:
    """Have the keys of tokens at hand, where tokens are taken."""
    if isinstance(gate, TokenGate):
        await gate.keys.keep()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Deploying at the start failed.", exc_info=error)
