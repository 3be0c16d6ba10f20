"""What a reply, the log and the figures tell of a call of a pure function."""

import asyncio
import gzip
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_server.errors import FunctionFailedError
from tabpy.tabpy_server.functions import pure_calls
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.protocol import Failure, Reply
from tests.web.harness import SIGNED_IN, FakeCatalog, FakePool, Web, request_text

Serve = Callable[..., Web]
BODY = b'{"data": [1]}'
ETAG = "0" * 32 + "-1"
LARGE = b'{"response":"' + b"x" * 10_000 + b'"}'
KEPT = {"result_cache_mb": 1.0}


class Catalog(FakeCatalog):
    pure = frozenset({"f"})


class Pool(FakePool):
    """Answers once it `may_end`."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        super().__init__(outcome or Outcome(Reply(ETAG, "printed"), b'{"response":1}'))
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self, job: Job, timing: Timing) -> Outcome:
        outcome = await super().run(job, timing)
        await self.may_end.wait()
        timing.queued_ms, timing.run_ms = 2.0, 20.0
        return outcome


def told(web: Web, path: str = "/query/f", body: bytes = BODY, **headers: str) -> str | None:
    reply = web.request("POST", path, body, headers)
    said: str | None = reply.headers["Cache-Status"]
    return said


def test_a_reply_says_how_its_result_was_had(serve: Serve) -> None:
    web = serve(KEPT, pool=Pool(), catalog=Catalog())
    first = web.request("POST", "/query/f", BODY)
    assert first.headers["Cache-Status"] == "TabPy; fwd=miss; stored"
    assert first.headers["Age"] is None
    again = web.request("POST", "/query/f", BODY)
    assert again.headers["Cache-Status"].startswith("TabPy; hit; ttl=")
    assert 290 <= int(again.headers["Cache-Status"].rpartition("=")[2]) <= 300
    assert int(again.headers["Age"]) <= 10
    assert (again.status, again.body, again.headers["Etag"]) == (200, first.body, f'"{ETAG}"')
    assert told(web, body=b'{"data": [2]}') == "TabPy; fwd=miss; stored"


def test_without_a_cache_each_call_that_comes_alone_runs(serve: Serve) -> None:
    pool = Pool()
    web = serve(pool=pool, catalog=Catalog())
    assert [told(web), told(web)] == ["TabPy; fwd=miss"] * 2
    assert len(pool.jobs) == 2


@pytest.mark.parametrize("path", ["/query/g", "/query/f?debug=true"], ids=["not pure", "debug"])
def test_nothing_is_shared_or_said_where_nobody_asked_for_it(serve: Serve, path: str) -> None:
    pool = Pool()
    web = serve(KEPT, pool=pool, catalog=Catalog())
    assert [told(web, path), told(web, path)] == [None, None]
    assert len(pool.jobs) == 2


def test_a_large_body_is_said_to_pass_by(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pure_calls, "BODY_LIMIT", 3)
    assert told(serve(KEPT, pool=Pool(), catalog=Catalog())) == "TabPy; fwd=bypass"


def test_a_failure_is_not_kept_and_says_nothing(serve: Serve) -> None:
    pool = Pool(Outcome(Failure.of(FunctionFailedError("f", "x : y"), Reply()), b""))
    web = serve(KEPT, pool=pool, catalog=Catalog())
    assert [told(web), told(web)] == [None, None]
    assert len(pool.jobs) == 2


def test_a_client_that_has_a_result_already_gets_304_without_a_run(serve: Serve) -> None:
    pool = Pool()
    web = serve(KEPT, pool=pool, catalog=Catalog())
    web.request("POST", "/query/f", BODY)
    reply = web.request("POST", "/query/f", BODY, {"If-None-Match": f'"{ETAG}"'})
    assert (reply.status, reply.body, len(pool.jobs)) == (304, b"", 1)


def test_a_result_that_is_kept_is_packed_for_who_likes_it(serve: Serve) -> None:
    web = serve(KEPT, pool=Pool(Outcome(Reply(ETAG), LARGE)), catalog=Catalog())
    packed = {"Accept-Encoding": "gzip"}
    replies = [web.request("POST", "/query/f", BODY, each) for each in (packed, {}, packed)]
    assert [each.headers["Content-Encoding"] for each in replies] == ["gzip", None, "gzip"]
    bodies = [gzip.decompress(replies[0].body), replies[1].body, gzip.decompress(replies[2].body)]
    assert bodies == [LARGE] * 3


def test_bytes_count_after_unpacking(serve: Serve) -> None:
    web = serve(KEPT, pool=Pool(), catalog=Catalog())
    told(web)
    said = told(web, body=gzip.compress(BODY), **{"Content-Encoding": "gzip"})
    assert said is not None
    assert said.startswith("TabPy; hit")


def test_who_may_not_enter_or_query_gets_nothing_that_is_kept(serve: Serve) -> None:
    web = serve(KEPT, pool=Pool(), catalog=Catalog())
    told(web)
    assert web.request("POST", "/query/f", BODY, authorization=None).status == 401


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    return [vars(each)["fields"] for each in caplog.records if each.getMessage() == message]


def test_the_log_and_the_figures_tell_which_calls_had_a_job(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pool = Pool()
    web = serve({**KEPT, "log_printed": True}, pool=pool, catalog=Catalog())
    pool.may_end.clear()
    text = request_text(
        "POST",
        "/query/f",
        {"Host": "127.0.0.1", "Authorization": SIGNED_IN, "Content-Length": str(len(BODY))},
    )

    async def twice() -> list[Any]:
        async with web.connection() as one, web.connection() as two:
            for each in (one, two):
                await each.send(text + BODY)
            await web.until(lambda: web.context.counters.pure_calls["joined"] == 1)
            pool.may_end.set()
            return [await one.reply(), await two.reply()]

    replies = web.run(twice())
    assert sorted(each.headers["Cache-Status"] for each in replies) == [
        "TabPy; fwd=miss; collapsed",
        "TabPy; fwd=miss; stored",
    ]
    told(web)
    noted = [(each["cache"], each["run_ms"]) for each in lines(caplog, "request")]
    assert sorted(noted) == [("hit", 0.0), ("joined", 0.0), ("miss", 20.0)]
    assert len(lines(caplog, "printed")) == 1
    counters = web.context.counters
    assert counters.pure_calls == {"miss": 1, "joined": 1, "hit": 1}
    assert (len(counters.waits), len(counters.runs)) == (1, 1)
    figures = web.context.function_figures.of("f")
    assert (figures.calls, figures.errors) == (3, 0)
    assert figures.median == pytest.approx(0.02, rel=0.25)


def test_a_request_whose_client_has_gone_leaves_the_job_to_the_others(serve: Serve) -> None:
    pool = Pool()
    web = serve(pool=pool, catalog=Catalog())
    pool.may_end.clear()
    text = request_text(
        "POST",
        "/query/f",
        {"Host": "127.0.0.1", "Authorization": SIGNED_IN, "Content-Length": str(len(BODY))},
    )
    counters = web.context.counters

    async def one_leaves() -> Any:
        async with web.connection() as one, web.connection() as two:
            await one.send(text + BODY)
            await web.until(lambda: counters.pure_calls["miss"] == 1)
            await two.send(text + BODY)
            await web.until(lambda: counters.pure_calls["joined"] == 1)
            one.cut()
            await web.until(lambda: counters.requests["/query/{name}", "POST", 499] == 1)
            pool.may_end.set()
            return await two.reply()

    reply = web.run(one_leaves())
    assert (reply.status, reply.body) == (200, b'{"response":1}')
    assert [b"".join(each.body) for each in pool.jobs] == [BODY]
