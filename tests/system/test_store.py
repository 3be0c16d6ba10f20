"""Deployed functions last: over restarts, between servers, and while their database is away."""

import concurrent.futures
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from tabpy.tabpy_server.functions.catalog import SETTLE_TIMEOUT
from tabpy.tabpy_server.functions.store.database import open_engine
from tabpy.tabpy_server.functions.store.endpoint import EndpointMetadata
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_tools.client import Client
from tests.postgres import Postgres
from tests.running import USER, Server, until

Start = Callable[..., Server]
TABPYS_STATE = Path(__file__).parents[1] / "compat" / "data" / "state"
ROUTER = {"X-Forwarded-Proto": "https"}  # what Heroku's says of each request
SECOND = 1.0


def away(why: str) -> tuple[int, str, str]:
    """The error of a request that needs the store."""
    goes_on = "Scripts work; deployed functions will again when its database answers."
    return 503, "The store of deployed functions can't be reached.", f"{why} {goes_on}"


STOPPED = away(
    "Nothing listens at its host and port: check that Postgres runs, and host and port in "
    "TABPY_DATABASE_URL."
)
LATER = away(
    "The store was last used by a later version of this server (its tables are version 99, this "
    "server knows 1): run that version or a newer one."
)


@pytest.fixture(params=["SQLite", "Postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings of a server whose functions are kept there, and that deploys none by itself."""
    (tmp_path / "models").mkdir()
    settings = {
        "TABPY_STATE_PATH": str(tmp_path / "state"),
        "TABPY_MODELS_PATH": str(tmp_path / "models"),
    }
    if request.param == "Postgres":
        settings["TABPY_DATABASE_URL"] = request.getfixturevalue("postgres").new_database()
    return settings


@pytest.fixture
def shared(postgres: Postgres, tmp_path: Path) -> dict[str, str]:
    """Settings of servers that share an empty database."""
    (tmp_path / "models").mkdir()
    return {
        "TABPY_DATABASE_URL": postgres.new_database(),
        "TABPY_MODELS_PATH": str(tmp_path / "models"),
    }


def times(factor: float) -> Callable[[float], float]:
    def scale(value: float) -> float:
        """The value, scaled."""
        return value * factor

    return scale


def answer(server: Server, name: str, *arguments: Any) -> Any:
    """What `name` answers in both web processes, which have to be of one mind."""
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda _: server.query(name, *arguments), range(8)))
    answers = {reply.json["response"] if reply.status == 200 else reply.error for reply in replies}
    assert len(answers) == 1, answers
    return answers.pop()


def answers(server: Server, name: str) -> Callable[[], bool]:
    return lambda: server.query(name, 3).status == 200


def execute(home: dict[str, str], statement: str) -> Any:
    """The first value of what a statement finds in the store's database."""
    engine = open_engine(home.get("TABPY_DATABASE_URL", ""), Path(home["TABPY_STATE_PATH"]))
    try:
        with engine.begin() as connection:
            found = connection.execute(text(statement))
            return found.scalar() if found.returns_rows else None
    finally:
        engine.dispose()


def facts(client: Client) -> dict[str, dict[str, Any]]:
    return {name: dict(info) for name, info in client.get_endpoints().items()}


# --- one server -----------------------------------------------------------------------------------


def test_a_database_of_a_server_before_authors_is_taken_as_it_is(
    start: Start, home: dict[str, str]
) -> None:
    server = start({**home, "WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"})
    server.client().deploy("scale", times(2))
    server.stop()
    execute(home, "ALTER TABLE tabpy_versions DROP COLUMN author")

    servers = [start({**home, "WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"}) for _ in range(2)]
    for each in servers:
        assert answer(each, "scale", 3) == 6
    servers[0].client().deploy("scale", times(3), override=True)
    kept = servers[1].client().versions("scale")["versions"]
    assert [(each["version"], each["author"]) for each in kept] == [(2, USER), (1, None)]


def test_each_change_is_known_to_both_web_processes_once_it_is_acknowledged(
    start: Start, home: dict[str, str]
) -> None:
    server = start({**home, "WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"})
    client = server.client()
    client.deploy("scale", times(2), "doubles")
    assert answer(server, "scale", 3) == 6
    with pytest.raises(RuntimeError, match="override=True"):
        client.deploy("scale", times(3))

    client.deploy("scale", times(3), "triples", override=True)
    assert answer(server, "scale", 3) == 9
    client.deploy_alias("other name", "scale")
    assert answer(server, "other name", 3) == 9
    client.update_endpoint_info("scale", is_public=True)
    info = client.get_endpoints()["scale"]
    assert (info["version"], info["description"], info["is_public"]) == (2, "triples", True)
    assert info["docstring"] == "The value, scaled."

    client.rollback("scale", 1)
    assert (answer(server, "scale", 3), answer(server, "other name", 3)) == (6, 6)
    kept = client.versions("scale")
    assert (kept["current"], [each["version"] for each in kept["versions"]]) == (1, [2, 1])
    client.deploy("scale", times(4), override=True)
    assert answer(server, "scale", 3) == 12
    assert client.get_endpoints()["scale"]["version"] == 3

    with pytest.raises(RuntimeError, match="Endpoint 'scale' is used by 'other name'"):
        client.remove("scale")
    assert answer(server, "other name", 3) == 12
    for name, left in (("other name", ""), ("scale", " None is deployed here.")):
        client.remove(name)
        assert answer(server, name, 3) == (
            404,
            "UnknownURI",
            f"There is no function '{name}' on this server.{left}",
        )
    client.deploy("scale", times(5))
    assert answer(server, "scale", 3) == 15


def test_a_restart_brings_everything_back(
    start: Start, home: dict[str, str], tmp_path: Path
) -> None:
    server = start(home)
    client = server.client()
    client.deploy("scale", times(2), 'Größer → "2 ⋅ x"', {"any": ["schema", None]}, is_public=True)
    client.deploy("scale", times(3), "triples", override=True)
    client.deploy_alias("other", "scale")
    before, versions = facts(client), client.versions("scale")
    assert server.stop() == 0

    if "TABPY_DATABASE_URL" in home:  # all else of a dyno is gone
        home["TABPY_STATE_PATH"] = str(tmp_path / "empty")
    server = start(home)
    client = server.client()
    assert (facts(client), client.versions("scale")) == (before, versions)
    assert (answer(server, "scale", 3), answer(server, "other", 3)) == (9, 9)
    client.rollback("scale", 1)
    assert answer(server, "scale", 3) == 6


def test_a_path_that_no_database_takes_is_of_no_endpoint(
    start: Start, home: dict[str, str]
) -> None:
    server = start({**home, "TABPY_WORKERS": "1"})
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("POST", "/rollback"),
    ):
        body = '{"version": 1}' if method == "POST" else None
        status, message, _ = server.request(method, f"/endpoints/a%00b{path}", body).error
        assert (status, message) == (404, "Unknown endpoint")
    assert server.log_lines("level=error") == []


def test_tables_of_a_later_version_are_left_alone(launch: Start, home: dict[str, str]) -> None:
    server = launch(home).wait_until_ready()
    server.client().deploy("scale", times(2))
    server.stop()
    assert execute(home, "UPDATE tabpy_state SET schema_version = 99 RETURNING 99") == 99
    execute(home, "DROP TABLE tabpy_origins")  # that version may have no use for it
    server = launch(home).wait_until_ready()
    assert server.evaluate("return _arg1 * 2", 21).json == 42
    for reply in (server.query("scale", 3), server.request("GET", "/endpoints")):
        assert reply.error == LATER
    assert server.log_lines("level=error", "its tables are version 99, this server knows 1")
    assert "Traceback" not in server.log
    assert execute(home, "SELECT schema_version FROM tabpy_state") == 99
    with pytest.raises(DatabaseError, match="tabpy_origins"):
        execute(home, "SELECT count(*) FROM tabpy_origins")
    execute(home, "UPDATE tabpy_state SET schema_version = 1")
    until(answers(server, "scale"), "it's used once it can be")


# --- several servers, one database ----------------------------------------------------------------


def test_two_servers_agree_within_a_second(start: Start, shared: dict[str, str]) -> None:
    one, other = start(shared), start(shared)
    client = one.client()

    def the_other_answers(name: str, expected: float) -> None:
        until(
            lambda: (
                (reply := other.query(name, 3)).status == 200 and reply.json["response"] == expected
            ),
            f"the other server answers {expected} for {name}",
            SECOND,
        )
        assert answer(other, name, 3) == expected

    client.deploy("scale", times(2))
    the_other_answers("scale", 6)
    client.deploy("scale", times(3), override=True)
    the_other_answers("scale", 9)
    client.deploy_alias("alias", "scale")
    the_other_answers("alias", 9)
    client.rollback("scale", 1)
    the_other_answers("scale", 6)
    other.client().update_endpoint_info("scale", description="by the other")
    until(
        lambda: client.get_endpoints()["scale"]["description"] == "by the other",
        "what the other said is known here",
        SECOND,
    )
    client.remove("alias")
    client.remove("scale")
    until(lambda: other.query("scale", 3).status == 404, "it's gone there too", SECOND)


def test_servers_that_start_at_once_make_the_tables_once(
    launch: Start, shared: dict[str, str]
) -> None:
    servers = [launch({**shared, "TABPY_WORKERS": "1"}) for _ in range(2)]
    for server in servers:
        server.wait_until_ready()
    for server in servers:
        assert server.request("GET", "/endpoints").json == {}
    servers[0].client().deploy("scale", times(2))
    until(answers(servers[1], "scale"), "the other has it", SECOND)
    for server in servers:
        assert server.log_lines("level=error") == []
        asked_too_early = server.log_lines("level=warning", "error=UnknownEndpointError")
        assert server.log_lines("level=warning") == asked_too_early


def test_changes_from_two_servers_at_once_all_count(start: Start, shared: dict[str, str]) -> None:
    servers = [start(shared), start(shared)]
    servers[0].client().deploy("scale", times(0))
    until(answers(servers[1], "scale"), "both have it")

    def deploy(number: int) -> None:
        servers[number % 2].client().deploy("scale", times(number), override=True)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(deploy, range(1, 9)))
    kept = servers[0].client().versions("scale")
    assert (kept["current"], [each["version"] for each in kept["versions"]]) == (9, [9, 8, 7, 6, 5])
    last = answer(servers[0], "scale", 1)
    until(lambda: servers[1].query("scale", 1).json["response"] == last, "both agree", SECOND)


def test_writers_wait_for_each_other(shared: dict[str, str], postgres: Postgres) -> None:
    """Else two would read the same last version, and both write the next."""
    engine = open_engine(shared["TABPY_DATABASE_URL"], Path())
    store = Store(engine, keep_versions=5)
    store.migrate()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        with engine.begin() as writer:
            writer.execute(text("UPDATE tabpy_state SET revision = revision"))
            creating = threads.submit(store.create, "f", EndpointMetadata(), None)

            def waits() -> bool:
                with engine.connect() as connection:
                    found: int = connection.execute(text(waiting)).scalar_one()
                return creating.done() or found > 0

            until(waits, "the other writer waits for the first")
            assert not creating.done()
        assert creating.result(10).version == 1
    engine.dispose()


def test_while_the_database_is_away_what_is_known_here_goes_on(
    start: Start, shared: dict[str, str], postgres: Postgres
) -> None:
    server, other = start(shared), start(shared)
    client = server.client()
    client.deploy("called", times(2))
    client.deploy("never called", times(3))
    for each in (server, other):
        until(answers(each, "called"), "both know it")
    until(postgres.is_quiet, "all web processes have read what has changed")
    postgres.stop()
    try:
        assert server.evaluate("return _arg1 * 2", 21).json == 42
        assert (answer(server, "called", 3), answer(other, "called", 3)) == (6, 6)
        late = start(shared)
        assert late.evaluate("return _arg1 * 2", 21).json == 42
        removal = server.request("DELETE", "/endpoints/called")
        for reply in (removal, other.query("never called", 3), late.query("called", 3)):
            assert reply.error == STOPPED
            assert reply.headers["Retry-After"] == "5"
        with pytest.raises(RuntimeError, match="can't be reached"):
            client.deploy("new", times(4))
    finally:
        postgres.start()
    for each in (server, other, late):
        until(answers(each, "never called"), "it's back")
        assert (answer(each, "called", 3), answer(each, "never called", 3)) == (6, 9)
    client.deploy("new", times(4))
    until(answers(other, "new"), "they hear of each other again")
    for each in (server, other, late):
        assert "Traceback" not in each.log
        assert "host=" not in each.log  # no part of the URL, which may have a password


# --- what deploys by itself at the start ----------------------------------------------------------


def settled(server: Server) -> Server:
    """That it has deployed all it does by itself: an unknown name's answer waits for that."""
    assert server.query("unknown").status == 404
    return server


def module(factor: int) -> str:
    return (
        "from tabpy.tabpy_tools.endpoint import endpoint\n"
        "@endpoint(name='from checkout', description='of models/')\n"
        "def scale(value):\n"
        f"    return value * {factor}\n"
    )


def test_the_checkouts_functions_are_deployed_once_for_each_text(
    start: Start, home: dict[str, str]
) -> None:
    models = Path(home["TABPY_MODELS_PATH"])
    (models / "mine.py").write_text(module(2))
    versions = []
    for change in (None, None, module(3), module(3), module(2)):
        if change:
            (models / "mine.py").write_text(change)
        server = settled(start(home))
        reply = server.query("from checkout", 10).json
        versions.append((reply["version"], reply["response"]))
        server.stop()
    assert versions == [(1, 20), (1, 20), (2, 30), (2, 30), (3, 20)]


def test_servers_that_start_at_once_deploy_the_checkout_once(
    launch: Start, shared: dict[str, str]
) -> None:
    (Path(shared["TABPY_MODELS_PATH"]) / "mine.py").write_text(module(2))
    servers = [launch({**shared, "WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"}) for _ in range(3)]
    for server in servers:
        settled(server.wait_until_ready())
    for server in servers:
        assert server.query("from checkout", 10).json["response"] == 20
        assert server.log_lines("Not deployed") == []
    kept = servers[0].client().versions("from checkout")["versions"]
    assert [each["version"] for each in kept] == [1]


def test_the_checkouts_functions_are_there_again_on_an_empty_disk(
    start: Start, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    (models / "mine.py").write_text(module(2))
    for _ in range(2):  # each with a state folder of its own
        server = start({"TABPY_MODELS_PATH": str(models)})
        # No waiting: a name that isn't known yet is answered once the deploying is over.
        assert server.query("from checkout", 10).json["response"] == 20


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("def", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit"),
        (b"\xff", "SyntaxError"),
    ],
)
def test_a_broken_module_is_named_in_the_log_and_its_neighbours_are_deployed(
    start: Start, tmp_path: Path, broken: str | bytes, reason: str
) -> None:
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    (models / "broken.py").write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    (models / "mine.py").write_text(module(2))
    server = start({"TABPY_MODELS_PATH": str(models)})
    assert server.query("from checkout", 10).json["response"] == 20
    (line,) = server.log_lines("level=warning", "models/broken.py", reason)
    assert str(tmp_path) not in line
    assert "Traceback" not in server.log


def test_a_wrong_function_is_named_in_the_log_and_its_neighbours_are_deployed(
    start: Start, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    (models / "mine.py").write_text(
        "from tabpy.tabpy_tools.endpoint import endpoint\n"
        "@endpoint(description=5)\ndef number(): pass\n"
        "@endpoint(schema={'a': object()})\ndef a_set(): pass\n" + module(2)
    )
    server = start({"TABPY_MODELS_PATH": str(models)})
    assert server.query("from checkout", 10).json["response"] == 20
    began = time.monotonic()
    assert server.query("unknown").status == 404
    assert time.monotonic() - began < SETTLE_TIMEOUT / 2
    for function, problem in (
        ("number", "'description' is of the wrong type"),
        ("a_set", "schema"),
    ):
        where = f"Not deployed: models/mine.py: {function}: "
        assert len(server.log_lines("level=warning", where, problem)) == 1
    assert "Traceback" not in server.log


def test_a_module_that_ends_its_process_costs_only_the_checkouts_functions(
    start: Start, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    (models / "broken.py").write_text("import os\nos._exit(1)")
    server = start({"TABPY_MODELS_PATH": str(models)})
    assert server.query("unknown").status == 404
    assert len(server.log_lines("level=warning", "models/ can't be deployed")) == 1
    server.client().deploy("scale", times(2))
    assert answer(server, "scale", 3) == 6


def test_a_state_folder_of_tabpys_is_taken_over_once(start: Start, home: dict[str, str]) -> None:
    state = Path(home["TABPY_STATE_PATH"])
    shutil.copytree(TABPYS_STATE, state)
    names = {"Adds": 1, "plus": 1, "versioned": 3}  # pickled by reference
    by_value = ("mangled", "several lines", " leading", "percent")  # with Python 3.11's code
    server = settled(start(home))
    assert (answer(server, "Adds", 1, 2), answer(server, "plus", 1, 2)) == (3, 3)
    assert answer(server, "versioned", 2, 3) == 6
    client = server.client()
    found = client.get_endpoints()
    if sys.version_info[:2] == (3, 11):
        names |= dict.fromkeys(by_value, 1)
    else:  # another Python may or may not be able to load these
        names |= dict.fromkeys(found.keys() & by_value, 1)
    assert {name: info["version"] for name, info in found.items()} == names
    adds = found["Adds"]
    assert (adds["description"], adds["docstring"]) == ('Adds "ä" and b', "Same as a + b.")
    assert (adds["schema"]["sample"], adds["is_public"]) == ({"a": 1, "b": 2.5}, True)
    for name in {"lost", "cut-off", "refused", "mangled", "percent"} - names.keys():
        assert len(server.log_lines("level=warning", "Not taken over", name)) == 1
    server.stop()

    server = settled(start(home))
    assert server.log_lines("Taken over") == []
    client = server.client()
    client.deploy("versioned", times(5), override=True)
    assert client.get_endpoints()["versioned"]["version"] == 4
    client.remove("plus")
    client.remove("Adds")
    server.stop()

    server = settled(start(home))
    assert answer(server, "versioned", 2) == 10
    assert answer(server, "Adds", 1, 2)[:2] == (404, "UnknownURI")
    assert "Adds" not in server.client().get_endpoints()
    assert (state / "state.ini").read_bytes() == (TABPYS_STATE / "state.ini").read_bytes()


# --- a dyno ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", [False, True], ids=["no database", "a database"])
def test_a_dyno_without_a_database_says_what_it_will_lose(
    start: Start, postgres: Postgres, tmp_path: Path, database: bool
) -> None:
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    (models / "mine.py").write_text(module(2))
    settings = {"DYNO": "web.1", "TABPY_MODELS_PATH": str(models)}
    server = start(
        {**settings, "TABPY_DATABASE_URL": postgres.new_database()} if database else settings
    )
    assert server.query("from checkout", 10, headers=ROUTER).status == 200
    alias = b'{"name": "other", "type": "alias", "target": "from checkout"}'
    deployed = server.request("POST", "/endpoints", alias, headers=ROUTER)
    assert deployed.status == 201
    status = server.request("GET", "/status", headers=ROUTER)
    cure = "heroku addons:create heroku-postgresql:essential-0"
    warned = [cure in str(reply.headers["X-TabPy-Warning"]) for reply in (deployed, status)]
    page = server.request("GET", "/", headers=ROUTER).body.decode()
    logged = server.log_lines("level=warning", cure)
    assert (warned, cure in page, len(logged) > 0) == (
        [not database] * 2,
        not database,
        not database,
    )
