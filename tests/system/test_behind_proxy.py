"""The tests of evaluate and query, unchanged, against two servers on one Postgres behind a proxy.

The database was made by an old server, and one of the two is killed in the middle.
"""

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tabpy.tabpy_server.functions.store.database import open_engine
from tests.deploying import deploy
from tests.functions.store.old_server import OldServer
from tests.postgres import Postgres
from tests.proxy import Behind, need, servers_on, wait_for_all
from tests.system import test_evaluate, test_query
from tests.system.test_query import name  # noqa: F401 - a fixture

# A new version is known to the other server a moment later, and a client of a proxy can't choose
# the web process that it talks to.
OF_ONE_SERVER = {
    "test_every_web_process_calls_what_was_deployed_last",
    "test_scripts_call_what_was_deployed_last",
    "test_calls_while_a_function_is_deployed_anew_get_one_of_its_versions",
    "test_a_function_is_loaded_once_a_worker",
    "test_a_function_that_cannot_be_loaded_any_more_is_an_error_of_the_server",
}
SETTINGS = {
    "WEB_CONCURRENCY": "1",
    "TABPY_WORKERS": "2",
    "TABPY_EVALUATE_TIMEOUT": "10",
    "TABPY_PRELOAD": "numpy,pandas",
}


def those_of(module: ModuleType) -> dict[str, Callable[..., None]]:
    """The tests of a module that need nothing but a server."""
    return {
        f"test_{module.__name__.rpartition('_')[2]}_{each.removeprefix('test_')}": test
        for each, test in vars(module).items()
        if each.startswith("test_") and "server" in inspect.signature(test).parameters
        if each not in OF_ONE_SERVER
    }


TESTS = {**those_of(test_evaluate), **those_of(test_query)}
globals().update(TESTS)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Behind]:
    need("haproxy")
    folder = tmp_path_factory.mktemp("behind")
    database = postgres.new_database()
    engine = open_engine(database, folder)
    OldServer(engine).make_tables()
    engine.dispose()
    servers = servers_on(folder, database, 2, SETTINGS)
    proxy = Behind(folder, servers, "haproxy")
    try:
        wait_for_all(servers)
        proxy.wait_until_ready()
        for function in (test_query.add, test_query.echo, test_query.divide, test_query.run):
            assert deploy(proxy, function.__name__, function).status == 201
        yield proxy
    finally:
        proxy.kill()
        for each in servers:
            each.kill()


@pytest.fixture
def server(behind: Behind, request: pytest.FixtureRequest) -> Behind:
    """Two servers; one from the middle on."""
    first = behind.servers[0]
    if request.function.__name__ == test_query.test_what_a_function_captured_goes_along.__name__:
        first.crash()
    return behind


def test_most_tests_are_among_them() -> None:
    assert len(TESTS) > 35
    assert {*OF_ONE_SERVER} <= {*vars(test_query)}
