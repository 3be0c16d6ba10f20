"""A worker in which a script writes to the socket whatever it likes: it harms only itself.

The limit for scripts is 100 MB here (`Bench`).
"""

import asyncio
import re
from collections.abc import Callable, Iterator

import pytest

from tabpy.tabpy_server.errors import TabPyError, WorkerDiedError
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.pool import executor
from tabpy.tabpy_server.workers.pool.worker import BUFFER, LocalWorker
from tabpy.tabpy_server.workers.protocol import Crash, Evaluate, Failure, Need, Reply
from tests.workers.pool.fakes import Bench, FakeWorker, with_bench

MIB = 1 << 20
ALLOWED = 100 * MIB
ZEROS = bytes(MIB)


def header(kind: bytes, meta: int, body: int) -> bytes:
    return protocol.HEADER.pack(kind, meta, body)


def repeated(begin: bytes, piece: bytes = ZEROS) -> Iterator[bytes]:
    """Something that never ends."""
    yield begin
    while True:
        yield piece


def frame(message: protocol.Message, body: bytes = b"") -> bytes:
    return protocol.encode(message, len(body)) + body + protocol.END


class Watched:
    """How much the web process kept of what a worker wrote, at most."""

    def __init__(self, worker: LocalWorker) -> None:
        self.worker = worker
        self.most = 0

    def look(self) -> None:
        self.most = max(self.most, self.worker._reader.held)


async def attack(
    bench: Bench, worker: FakeWorker, pieces: Iterator[bytes], watched: Watched
) -> None:
    """Write without end, or until the worker is let go."""
    loop = asyncio.get_running_loop()
    for piece in pieces:
        watched.look()
        try:
            await loop.sock_sendall(worker._end, piece)
        except OSError:
            return
        await asyncio.sleep(0)


def outcome_of(pieces: Callable[[], Iterator[bytes]]) -> tuple[BaseException | None, int]:
    """What a job's client is told when its worker writes this, and how many bytes were kept."""
    told: list[tuple[BaseException | None, int]] = []

    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        [busy] = bench.pool._workers.busy
        assert isinstance(busy, LocalWorker)
        watched = Watched(busy)
        await asyncio.wait_for(attack(bench, worker, pieces(), watched), 5)
        await asyncio.wait([running], timeout=5)
        told.append((running.exception(), watched.most))
        assert busy._reader.held == 0, "nothing is kept of one that was let go"
        assert (await bench.run(b"next")).body == b"next"

    with_bench(1, test)
    return told[0]


@pytest.mark.parametrize(
    ("begin", "kept"),
    [
        (header(b"R", 2, 1 << 60) + b"{}", len(BUFFER)),  # E7
        (header(b"R", 2, ALLOWED + 1) + b"{}", len(BUFFER)),
        (header(b"F", 100 * MIB, 0), len(BUFFER)),  # E10
        (header(b"R", protocol.META_LIMIT + 1, 0), len(BUFFER)),  # E11
        (header(b"N", 2, 1) + b"{}", len(BUFFER)),
        (header(b"C", 2, 1 << 40) + b"{}", len(BUFFER)),
        (header(b"?", 2, 0) + b"{}", len(BUFFER)),
        (b"", len(BUFFER)),
        (header(b"F", protocol.META_LIMIT, 0), protocol.META_LIMIT + 2 * len(BUFFER)),
    ],
)
def test_what_never_ends_is_not_kept(begin: bytes, kept: int) -> None:
    error, most = outcome_of(lambda: repeated(begin))
    assert isinstance(error, WorkerDiedError)
    assert most <= kept


def test_a_result_that_is_too_large_names_the_setting() -> None:
    error, _ = outcome_of(lambda: iter([header(b"R", 2, ALLOWED + 1)]))
    assert str(error) == (
        "Error processing script The script's process was stopped, as its result is larger than "
        "100 MB (TABPY_SCRIPT_MEMORY_MB), before it returned."
    )


def test_so_does_that_of_an_isolated_task() -> None:
    async def test(bench: Bench) -> None:
        task = asyncio.create_task(bench.pool.run_isolated(Evaluate(), 5.0, [b"hang"]))
        await bench.until(lambda: len(bench.launcher.started) == 2)
        worker = bench.launcher.started[1]
        await bench.until(lambda: worker.received)
        worker.send_raw(header(b"R", 2, ALLOWED + 1))
        with pytest.raises(WorkerDiedError, match="TABPY_SCRIPT_MEMORY_MB"):
            await task

    with_bench(1, test)


OTHERS = sorted(set(TabPyError.by_name) - {each.__name__ for each in protocol.FAILURES})


@pytest.mark.parametrize(  # E13 to E17, E20
    "message",
    [
        *(Failure(name, []) for name in OTHERS),
        Failure("JobTimeoutError", [1.0, 1.0, 1.0]),
        Failure("TooManySignInsError", [2e8]),
        Failure("InvalidInputError", [204]),
        Failure("InvalidInputError", ["x" * (protocol.FACT_LIMIT + 1)]),
        Failure("ScriptFailedError", [{"status": 204}]),
        Failure("ScriptFailedError", []),
        Failure("__class__", []),
        Reply(etag='x"\r\nSet-Cookie: a=b'),
        Reply(etag="\u20ac"),
        Reply(logged=[(20, 3)]),  # type: ignore[list-item]
        Reply(logged=["x"]),  # type: ignore[list-item]
        Reply(logged=[(True, "x")]),
        Reply(etag="x" * 1000),
    ],
    ids=lambda each: f"{type(each).__name__}-{getattr(each, 'error_name', '')}",
)
def test_no_script_chooses_how_its_client_is_answered(message: Reply | Failure) -> None:
    error, _ = outcome_of(lambda: iter([frame(message)]))
    assert str(error) == (
        "Error processing script The script's process wrote to its connection, and was stopped, "
        "before it returned."
    )


def test_questions_without_end_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:  # E12
    monkeypatch.setattr(executor, "NEEDS_LIMIT", 50)
    check_questions(Need("nosuch"), 50)


def test_an_archive_is_not_fetched_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "DAMAGED_LIMIT", 5)
    check_questions(Need("known", damaged="5ha"), 5)


def check_questions(need: Need, limit: int) -> None:
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        for number in range(1, limit + 1):
            worker.send(need)
            await bench.until(lambda: len(worker.received) == 1 + number)  # noqa: B023
        worker.send(need)
        with pytest.raises(WorkerDiedError, match="asked for deployed functions without end"):
            await running

    with_bench(1, test)


def test_a_flood_of_questions_is_one_that_nobody_asked_for() -> None:
    error, most = outcome_of(lambda: repeated(b"", 100 * frame(Need("nosuch"))))
    assert isinstance(error, WorkerDiedError)
    assert most <= len(BUFFER)


def test_two_replies_at_once_are_one_too_many() -> None:  # C20
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send_raw(frame(Reply(), b"one") + frame(Reply(), b"forged"))
        await asyncio.wait([running])
        await bench.until(worker.let_go.is_set)
        assert (await bench.run(b"next")).body == b"next"

    with_bench(1, test)


@pytest.mark.parametrize("written", [frame(Reply(), b"forged"), header(b"R", 2, 5), b"{"])
def test_an_idle_worker_has_nothing_to_say(written: bytes) -> None:
    async def test(bench: Bench) -> None:
        worker = bench.launcher.started[0]
        worker.send_raw(written)
        outcomes = [await bench.run(b"%d" % number) for number in range(3)]
        assert [each.body for each in outcomes] == [b"0", b"1", b"2"]
        assert worker.let_go.is_set()
        assert bench.counters.ends == {"died": 1}

    with_bench(1, test)


def test_nothing_is_kept_of_what_an_idle_worker_says() -> None:
    async def test(bench: Bench) -> None:
        worker, [idle] = bench.launcher.started[0], bench.pool._workers.idle
        assert isinstance(idle, LocalWorker)
        watched = Watched(idle)
        pieces = repeated(header(b"R", 2, ALLOWED) + b"{}")
        await asyncio.wait_for(attack(bench, worker, pieces, watched), 5)
        await bench.until(worker.let_go.is_set)
        assert watched.most <= len(BUFFER)

    with_bench(1, test)


def test_what_is_logged_of_it_has_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    outcome_of(lambda: iter([frame(Crash("x" * 900_000))]))
    outcome_of(lambda: iter([frame(Reply(trouble="x" * 900_000, recycle=True))]))
    logged = [each.__dict__["fields"]["trace"] for each in caplog.records if each.levelno >= 40]
    assert [len(each) for each in logged] == 2 * [protocol.TRACE_LIMIT]


@pytest.mark.parametrize("name", ["ScriptFailedError", "InvalidInputError"])
def test_what_a_script_may_say_is_passed_on(name: str) -> None:
    told: list[TabPyError] = []

    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send(Failure(name, ["x" * protocol.FACT_LIMIT]))
        message = (await running).message
        assert isinstance(message, Failure)
        told.append(message.error())

    with_bench(1, test)
    assert re.fullmatch(r"(Error processing script )?x+", str(told[0]))
