"""GET /readyz: whether a script would run now, to anybody who asks."""

from collections.abc import Callable

import pytest

from tabpy.tabpy_server import errors
from tests.web.harness import FakeCatalog, FakePool, Web, request_text

Serve = Callable[..., Web]


class StuckPool(FakePool):
    cannot_start = True


class StartingPool(FakePool):
    has_started = False


class LostStore(FakeCatalog):
    async def ask_store(self) -> str:
        return "connection refused"


def test_a_server_whose_scripts_run_is_ready(web: Web) -> None:
    reply = web.request("GET", "/readyz", authorization=None)
    assert (reply.status, reply.json) == (200, {"status": "ready"})


def test_one_whose_workers_do_not_start_is_alive_and_not_ready(
    serve: Serve, failures: Callable[[], list[str]]
) -> None:
    web = serve(pool=StuckPool())
    reply = web.request("GET", "/readyz", authorization=None)
    assert reply.error == (
        503,
        "Script workers can't be started, so no script runs.",
        "The server's log says why.",
    )
    assert reply.headers["Retry-After"] == "5"
    assert failures() == ["request"]  # somebody has to see to it
    assert web.request("GET", "/healthz", authorization=None).status == 200


def test_one_that_has_no_worker_yet_is_alive_and_not_ready(serve: Serve) -> None:
    web = serve(pool=StartingPool())
    reply = web.request("GET", "/readyz", authorization=None)
    assert reply.error == (
        503,
        "The server is starting, and can't run scripts yet.",
        "Try again in a moment.",
    )
    assert web.request("GET", "/healthz", authorization=None).status == 200


@pytest.mark.parametrize(
    "fakes",
    [{"pool": FakePool(error=errors.AllBusyError(1.0))}, {"catalog": LostStore()}],
    ids=["workers busy", "store lost"],
)
def test_what_all_servers_have_at_the_same_time_does_not_count(
    serve: Serve, fakes: dict[str, object]
) -> None:
    assert serve(**fakes).request("GET", "/readyz", authorization=None).status == 200


def test_one_that_is_about_to_stop_is_alive_and_not_ready(web: Web) -> None:
    async def ask(path: str) -> int:
        async with web.connection() as connection:
            await connection.send(request_text("GET", path, {"Host": "x"}))
            return (await connection.reply()).status

    async def exchange() -> None:
        assert await ask("/readyz") == 200
        await web.context.traffic.drained()
        assert await ask("/readyz") == 503
        assert await ask("/healthz") == 200

    web.run(exchange())
