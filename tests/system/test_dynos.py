"""Servers on one Postgres behind a proxy are one server: while they are replaced, killed at any
moment, have few connections, or a Postgres in trouble."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tabpy.tabpy_server.functions.store import reasons, watch
from tabpy.tabpy_server.functions.store.database import open_engine, postgres_url
from tabpy.tabpy_server.functions.store.postgres import connect
from tests.deploying import archive_of, deploy, redeploy
from tests.functions.store.old_server import OldServer
from tests.many import Deployments, Dynos
from tests.postgres import Postgres
from tests.proxy import PROGRAMS
from tests.running import Reply, Server, until

SETTINGS = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"}
KILLS = 4


def constant(value: int) -> Callable[[], int]:
    def answer() -> int:
        return value

    return answer


def answers(server: Server, name: str, value: int) -> Callable[[], bool]:
    return lambda: bool(server.query(name).json.get("response") == value)


@pytest.fixture
def dynos(postgres: Postgres, tmp_path: Path) -> Iterator[Dynos]:
    made = Dynos(tmp_path, postgres.new_database(), SETTINGS)
    yield made
    made.close()


def old_server(dynos: Dynos, folder: Path) -> OldServer:
    """What made the tables."""
    old = OldServer(open_engine(dynos.database_url, folder))
    old.make_tables()
    return old


class Client(threading.Thread):
    """Asks the same thing again and again, until `over`, and keeps what wasn't answered rightly."""

    def __init__(self, ask: Callable[[], Reply], right: Callable[[Reply], bool]) -> None:
        super().__init__()
        self._ask = ask
        self._right = right
        self.over = threading.Event()
        self.answered = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.over.wait(0.02):
            try:
                reply = self._ask()
            except OSError as error:
                self.wrong.append(repr(error))
            else:
                if self._right(reply):
                    self.answered += 1
                else:
                    self.wrong.append(f"{reply.status} {reply.body!r:.300}")

    def has_more_than(self, count: int) -> Callable[[], bool]:
        return lambda: self.answered > count

    def end(self) -> None:
        self.over.set()
        self.join()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_rolling_update_serves_throughout(dynos: Dynos, tmp_path: Path, program: str) -> None:
    old = old_server(dynos, tmp_path)
    old.deploy("f", archive_of(constant(1)))
    dynos.start(0)
    dynos.start(1)
    proxy = dynos.behind(program)
    clients = [
        Client(lambda: proxy.evaluate("return _arg1 * 2", 21), lambda reply: reply.json == 42),
        Client(
            lambda: proxy.query("f"),
            lambda reply: reply.status == 200 and reply.json["response"] in (1, 2, 3),
        ),
    ]
    for each in clients:
        each.start()
    for index in (0, 1):
        answered = [each.answered for each in clients]
        assert dynos.servers[index].stop() == 0  # what was begun is answered
        dynos.start(index)
        assert old.deploy("f", archive_of(constant(2 + index))) == 2 + index
        for client, before in zip(clients, answered, strict=True):
            until(client.has_more_than(before + 10), "the clients are answered")
    for each in clients:
        each.end()
    assert [each.wrong for each in clients] == [[], []]
    for server in dynos.servers:
        until(answers(server, "f", 3), "it has the last version")


def test_no_deployment_is_lost_whichever_server_is_killed(dynos: Dynos) -> None:
    """`make bench` has two hundred of them."""
    dynos.start(0)
    dynos.start(1)
    deployments = Deployments(dynos.behind("haproxy"), clients=4, each=10)
    dynos.run_and_kill(deployments, KILLS, random.Random(1))
    assert deployments.acknowledged == 40
    assert deployments.faults() == []
    last = deployments.last()
    for server in dynos.servers:
        until(answers(server, deployments.name, last), "both answer what was deployed last")


def test_few_connections_are_enough(postgres: Postgres, tmp_path: Path) -> None:
    few = 3
    with postgres.user_with(few, postgres.new_database()) as database:
        dynos = Dynos(tmp_path, database, {**SETTINGS, "WEB_CONCURRENCY": "3"})
        try:
            dynos.start(0)
            dynos.start(1)
            one, other = dynos.servers
            assert few < 6  # web processes
            for value in range(1, 4):
                send = deploy if value == 1 else redeploy
                assert send(one, "f", constant(value)).status in (200, 201)
                until(answers(other, "f", value), "it is heard", watch.ASK_AFTER[1] + 5)
            for each in dynos.servers:
                assert each.log_lines("level=error") == []
        finally:
            dynos.close()


# --- a Postgres in trouble ------------------------------------------------------------------------


def in_trouble(server: Server, why: str) -> None:
    """Scripts and known functions go on, and deploying says why it can't."""
    assert server.evaluate("return _arg1 * 2", 21).json == 42
    assert server.query("f").json["response"] == 1
    status, message, info = redeploy(server, "f", constant(2)).error
    assert (status, message) == (503, "The store of deployed functions can't be reached.")
    assert info.startswith(why)
    assert server.query("f").json["response"] == 1


def and_over_again(server: Server) -> None:
    """Deploying works, without a restart."""
    until(lambda: redeploy(server, "f", constant(3)).status == 200, "it can be deployed again")
    assert server.query("f").json["response"] == 3


def knowing_a_function(dynos: Dynos) -> Server:
    """The first server, which has called one."""
    made = dynos.start(0)
    assert deploy(made, "f", constant(1)).status == 201
    assert made.query("f").json["response"] == 1
    return made


@pytest.fixture
def server(dynos: Dynos) -> Server:
    return knowing_a_function(dynos)


def test_a_postgres_that_takes_no_changes(dynos: Dynos, server: Server) -> None:
    url = dynos.database_url.replace("postgres:", "postgresql:", 1)
    with psycopg.connect(url, autocommit=True) as other:
        switch = f"ALTER DATABASE {other.info.dbname} SET default_transaction_read_only = "
        other.execute(f"{switch} on".encode())
        in_trouble(server, reasons.READ_ONLY)
        other.execute("SET default_transaction_read_only = off")
        other.execute(f"{switch} off".encode())
    and_over_again(server)


def test_a_postgres_without_a_free_connection(postgres: Postgres, tmp_path: Path) -> None:
    few = 2
    with postgres.user_with(few, postgres.new_database()) as database:
        dynos = Dynos(tmp_path, database, SETTINGS)
        try:
            server = knowing_a_function(dynos)
            with contextlib.ExitStack() as taken:
                for _ in range(few):
                    taken.enter_context(connect(postgres_url(database)))
                in_trouble(server, reasons.CROWDED)
            and_over_again(server)
        finally:
            dynos.close()


def test_a_postgres_that_says_nothing_any_more(server: Server, postgres: Postgres) -> None:
    with postgres.hanging():
        in_trouble(server, "its host and port doesn't answer")
    and_over_again(server)
