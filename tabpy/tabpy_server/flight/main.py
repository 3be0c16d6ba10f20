"""The flight process: the one that has the tables, and Flight's port."""

import asyncio
import io
import os
import resource
import socket
import traceback
from dataclasses import dataclass

from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.flight.desk import Desk
from tabpy.tabpy_server.flight.figures import Figures
from tabpy.tabpy_server.flight.front import Front
from tabpy.tabpy_server.flight.sign_in import SignIn
from tabpy.tabpy_server.flight.store import MB, Limits, Store
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls.served import ServedCertificate, keep_up_to_date

READY = b"ready"  # on the pipe to the arbiter; anything else is why it isn't
LOOK_EVERY = 1.0  # seconds
# Beside the tables, which lie in shared memory: what calls take until their table is there, and
# what pyarrow reserves.
RESERVE_MB = 1024


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What it has from the arbiter. `listener` is where clients connect; web processes ask at the
    other end of `asked`."""

    settings: Settings
    gate: Gate | OpenGate | TokenGate
    certificate: ServedCertificate | None
    listener: socket.socket
    asked: socket.socket
    figures: Figures


def limits_of(settings: Settings) -> Limits:
    """Return what the tables may take."""
    size = int(settings.arrow_memory_mb * MB)
    return Limits(size, settings.arrow_tables, settings.arrow_table_seconds)


def run(given: Inherited, ready: io.FileIO) -> None:
    """Serve, for ever; say on `ready` when it does."""
    os.environ["GRPC_VERBOSITY"] = "NONE"  # its lines aren't ours, and have paths in them
    _limit_memory(given.settings)
    # pyarrow sends a client what this makes of an error, with our files and lines.
    traceback.format_exception = lambda *_, **__: []
    asyncio.run(_serve(given, ready))


async def _serve(given: Inherited, ready: io.FileIO) -> None:
    from tabpy.tabpy_server.flight import ipc
    from tabpy.tabpy_server.flight.service import Service

    settings = given.settings
    store = Store(limits_of(settings))
    location = settings.arrowflight_location
    service = Service(store, SignIn(given.gate), location, asyncio.get_running_loop())
    certificate = given.certificate
    front = Front(
        given.listener,
        service.port,
        settings.arrow_table_seconds,
        lambda: certificate.for_flight if certificate is not None else None,
    )
    Desk(given.asked, store, ipc.count_rows).open()
    ready.write(READY)
    ready.close()
    async with asyncio.TaskGroup() as group:  # where one ends, all do, and the arbiter starts anew
        group.create_task(front.serve())
        group.create_task(_keep(store, given.figures))
        group.create_task(keep_up_to_date(certificate))
        if isinstance(given.gate, TokenGate):
            group.create_task(given.gate.keys.keep())


async def _keep(store: Store, figures: Figures) -> None:
    """Forget old tables, and show how many there are."""
    while True:
        store.expire()
        figures.show(os.getpid(), store.count, store.size)
        await asyncio.sleep(LOOK_EVERY)


def _limit_memory(settings: Settings) -> None:
    """Have an allocation fail that is far beyond what tables may take: a packed batch of a few
    bytes can ask for any size."""
    ceiling = int((2 * settings.arrow_memory_mb + RESERVE_MB) * MB)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or ceiling < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))
