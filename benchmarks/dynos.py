"""Many servers on one Postgres with 20 connections: what a call and a deployment cost.

Ours alone: TabPy's servers share nothing. Needs HAProxy for the deployments with kills.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import psutil
from sqlalchemy import text

from benchmarks.report import Goal, Row
from benchmarks.servers import Kind
from tabpy import __version__
from tabpy.tabpy_server.functions.environment import environment
from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_server.functions.store.endpoint import ArchiveInfo, EndpointMetadata
from tabpy.tabpy_server.functions.store.opened_archive import open_archive
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.deploying import Line, redeploy
from tests.many import Deployments, Dynos
from tests.postgres import Postgres
from tests.running import Server, until

CONNECTIONS = 20  # of which Postgres keeps three for its own superuser
FEW, MANY = (100, 1, 2), (1000, 5, 4)  # functions, servers, and web processes of each
CALLED = "f0"
WARM, CALLS, ROUNDS = 200, 1000, 5
CLIENTS, EACH, KILLS = 4, 50, 10
SCHEMA = {"input": {"properties": {name: {"type": "number"} for name in "abcdefgh"}}}
HEARD_WITHIN = 10.0  # seconds


def dynos(_: Kind, __: Kind) -> list[Row]:
    few, many = _crowded(*FEW), _crowded(*MANY)
    functions, servers, processes = MANY
    size = f"{functions:,} functions, {servers * processes} web processes"
    return [
        _row("/query, 100 functions, 2 web processes, CPU", "us", few["cpu"]),
        _row(f"/query, {size}, CPU", "us", many["cpu"]),
        _row("... times as much", "", many["cpu"] / few["cpu"], Goal(at_most=1.2)),
        _row("... connections to Postgres at rest", "", many["resting"], Goal(at_most=12)),
        _row("... at most, in a deployment", "", many["most"], Goal(at_most=CONNECTIONS - 3)),
        _row("... a deployment is known to all after", "s", many["heard"], Goal(at_most=5)),
        _row("... a deployment, CPU of all web processes", "s", many["change"]),
        *_killed(),
    ]


def _row(
    figure: str, unit: str, value: float | None, goal: Goal | None = None, trouble: str = ""
) -> Row:
    met = goal.met(value, None) if goal and value is not None else None
    return Row(figure, unit, value, None, None, str(goal or ""), met, trouble, "", False, False)


def _crowded(functions: int, servers: int, processes: int) -> dict[str, float]:
    """What calls of one function and a deployment of it cost among so many."""
    with _postgres() as (postgres, folder):
        postgres.allow(CONNECTIONS)
        with postgres.user_with(-1, postgres.new_database()) as database:
            _fill(database, folder, functions)
            settings = {"WEB_CONCURRENCY": str(processes), "TABPY_WORKERS": "1"}
            place = Dynos(folder, database, settings)
            try:
                for index in range(servers):
                    place.start(index)
                for each in place.servers:
                    until(_answers(each, 0), "it knows the function")
                until(lambda: postgres.is_quiet(3.0), "everybody has read what there is", 60)
                figures = {"cpu": _calls(place.servers[0])}
                return figures | _deployment(place.servers, postgres, database)
            finally:
                place.close()


@contextmanager
def _postgres() -> Iterator[tuple[Postgres, Path]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "pg").mkdir()
        (folder / "servers").mkdir()
        running = Postgres(folder / "pg")
        try:
            yield running, folder / "servers"
        finally:
            running.stop()


def _function(number: int) -> bytes:
    def answer() -> int:
        return number

    archive: bytes = cloudpickle.dumps(CustomQueryObject(answer))
    return archive


def _fill(database: str, folder: Path, functions: int) -> None:
    """Store so many functions with two versions each, all of one archive."""
    engine = open_engine(database, folder)
    store = Store(engine, keep_versions=5)
    store.migrate()
    file = folder / "archive"
    file.write_bytes(_function(0))
    with open_archive(file) as archive:
        archive.measure()
        store.put_archive(archive)
    info = ArchiveInfo(*archive.stored)
    store.record_checks(environment(__version__), {info.sha256: ""})
    store.create(CALLED, EndpointMetadata(description="x" * 100, schema=SCHEMA), info)
    store.replace(CALLED, {}, info)
    with engine.begin() as connection:
        for table, columns in (
            ("endpoints", "version, last_version, description, creation_time, last_modified_time"),
            ("versions", "version, sha256, code, docstring, creation_time"),
        ):
            connection.execute(
                text(
                    f"INSERT INTO tabpy_{table} (name, {columns}) "
                    f"SELECT 'f' || n, {columns} FROM tabpy_{table}, generate_series(1, :last) AS n"
                ),
                {"last": functions - 1},
            )
    engine.dispose()


def _answers(server: Server, number: int) -> Callable[[], bool]:
    return lambda: bool(server.query(CALLED).json.get("response") == number)


def _calls(server: Server) -> float:
    """Microseconds of the processor that a call takes, in its web process and the workers: the
    least of several rounds."""
    line = Line(server)
    try:
        return min(_round(server, line) for _ in range(ROUNDS))
    finally:
        line.close()


def _round(server: Server, line: Line) -> float:
    for _ in range(WARM):
        line.request("POST", f"/query/{CALLED}", b'{"data": []}')
    busy = [psutil.Process(line.web_process), *server.workers()]
    before = _cpu(busy)
    for _ in range(CALLS):
        assert line.request("POST", f"/query/{CALLED}", b'{"data": []}').status == 200
    return (_cpu(busy) - before) / CALLS * 1e6


def _cpu(processes: Iterable[psutil.Process]) -> float:
    """Seconds of the processor that they have had."""
    times = [each.cpu_times() for each in processes]
    return sum(each.user + each.system for each in times)


def _deployment(servers: list[Server], postgres: Postgres, database: str) -> dict[str, float]:
    resting = postgres.connections(database, older=2.5)
    web_processes = [each for server in servers for each in server.web_processes()]
    before, began, most = _cpu(web_processes), time.perf_counter(), 0
    assert redeploy(servers[0], CALLED, _function(1)).status == 200
    waiting = list(servers)
    while waiting:
        assert time.perf_counter() < began + HEARD_WITHIN, "not all have heard of it"
        most = max(most, postgres.connections(database))
        waiting = [each for each in waiting if not _answers(each, 1)()]
    heard = time.perf_counter() - began
    until(lambda: postgres.is_quiet(1.0), "everybody has read what there is", 60)
    return {
        "resting": resting,
        "heard": heard,
        "most": max(most, postgres.connections(database)),
        "change": _cpu(web_processes) - before,
    }


def _killed() -> list[Row]:
    """Deployments by several clients over two servers that are killed."""
    wanted = CLIENTS * EACH
    figure = f"{wanted} deployments, {CLIENTS} clients, 2 servers, {KILLS} kills"
    if shutil.which("haproxy") is None:
        return [_row(f"{figure}: lost", "", None, trouble="no haproxy")]
    with _postgres() as (postgres, folder):
        settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "2"}
        place = Dynos(folder, postgres.new_database(), settings)
        try:
            place.start(0)
            place.start(1)
            deployments = Deployments(place.behind("haproxy"), CLIENTS, EACH)
            began = time.perf_counter()
            place.run_and_kill(deployments, KILLS, random.Random(1))
            seconds = time.perf_counter() - began
            faults = deployments.faults()
        finally:
            place.close()
    lost = wanted - deployments.acknowledged + len(faults)
    return [
        _row(f"{figure}: lost, or gaps", "", lost, Goal(at_most=0), "; ".join(faults)),
        _row("... tried again", "", deployments.refused),
        _row("... took", "s", seconds),
    ]
