"""Workers that have large models from their start: whose, and when others take their place."""

import asyncio
import time

import pytest

from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.workers.pool import shelves, starter
from tabpy.tabpy_server.workers.pool.shelves import OWNERS_KEPT, Shelves
from tabpy.tabpy_server.workers.protocol import CheckArchive, Need, Reference, Reply, shelf_key
from tests.workers.pool.fakes import MODELS, Bench, FakeLauncher, FakeWorker, with_bench

CHECK = CheckArchive("/archive", "", [], "", {})
X, Y, Z = MODELS.values()
NEW_X = Reference("x", 2, "x2", "/archive", "3.11.7")


async def call(bench: Bench, owner: str, *names: str) -> None:
    for name in names:
        assert (await bench.run(b"", owner=owner, function=name)).body == b""


async def shelve(bench: Bench, owner: str, *references: Reference) -> str:
    """Have an owner call models, and a shelf with them; its key."""
    await call(bench, owner, *(each.name for each in references))
    bench.pool.shelves.put(owner, references)
    return bench.launcher.fill(*references)


def of(bench: Bench, key: str) -> list[FakeWorker]:
    """The workers that come from a shelf."""
    return [each for each in bench.launcher.there if each.shelf == key]


async def until_there(bench: Bench, *keys: str) -> None:
    """Wait until the workers come from these shelves."""
    wanted = sorted(keys)
    await bench.until(lambda: sorted(each.shelf for each in bench.launcher.there) == wanted)
    await bench.settle()


async def started_by(bench: Bench, looks: int = 20) -> int:
    """How many workers are started in so many looks."""
    before = len(bench.launcher.started)
    for _ in range(looks):
        bench.pool._look()
        await asyncio.sleep(0)
    return len(bench.launcher.started) - before


# --- whose workers come from where ---


def test_an_owners_workers_are_replaced_once_there_is_a_shelf_and_nobody_elses() -> None:
    async def test(bench: Bench) -> None:
        await call(bench, "bob", "y")
        key = await shelve(bench, "anna", X)
        await until_there(bench, key, "", "")
        await call(bench, "anna", "x")
        assert of(bench, key)[0].received, "she gets that one"
        assert await started_by(bench) == 0, "and that's it"
        assert bench.counters.ends == {"replaced": 1}

    with_bench(3, test)


def test_one_that_was_anybodys_and_had_a_job_of_hers_is_replaced_too() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await until_there(bench, key, "")
        both = bench.launcher.there
        jobs = [bench.begin(b"hang", owner="anna") for _ in both]
        await bench.until(lambda: all(each.received for each in both))
        for worker in both:
            worker.send(Reply())
        await asyncio.gather(*jobs)
        await until_there(bench, key, key)
        assert await started_by(bench) == 0

    with_bench(2, test)


def test_a_worker_from_a_shelf_is_never_anothers_even_if_it_was_never_used() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await until_there(bench, key)
        unused = of(bench, key)[0]
        assert (await bench.run(b"bobs", owner="bob")).body == b"bobs"
        assert not unused.received
        assert await started_by(bench) == 0
        await call(bench, "anna", "x")
        await until_there(bench, key)
        assert bench.counters.ends == {"replaced": 1, "other user": 2}

    with_bench(1, test)


def test_not_even_if_it_says_that_it_comes_from_elsewhere() -> None:
    """A model has changed what workers say of themselves."""

    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        bench.launcher.lies = True
        await until_there(bench, key)
        [liar] = bench.launcher.there
        assert liar.origin == bench.launcher.origin
        assert await started_by(bench) == 0, "nor is it replaced for ever"
        assert (await bench.run(b"bobs", owner="bob")).body == b"bobs"
        assert not liar.received

    with_bench(1, test)


def test_two_owners_of_equal_calls_have_one_shelf_but_workers_of_their_own() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X, Y)
        assert await shelve(bench, "bob", Y, X) == key
        await until_there(bench, key, key)
        await call(bench, "anna", "x")
        await call(bench, "bob", "x")
        assert [len(each.received) for each in of(bench, key)] == [1, 1]

    with_bench(2, test)


def test_what_a_script_calls_counts() -> None:
    async def test(bench: Bench) -> None:
        running, worker = bench.begin(b"hang", owner="anna"), bench.launcher.started[0]
        await bench.until(lambda: worker.received)
        worker.send(Need("x"))
        await bench.until(lambda: len(worker.received) == 2)
        worker.send(Need("nosuch"))
        await bench.until(lambda: len(worker.received) == 3)
        worker.send(Reply())
        await running
        assert bench.pool.shelves.called == {"anna": {"x"}}

    with_bench(1, test)


def test_what_a_check_of_an_archive_calls_does_not() -> None:
    async def test(bench: Bench) -> None:
        checking = asyncio.create_task(bench.pool.run_isolated(CHECK, 5.0, [b"hang"]))
        await bench.until(lambda: len(bench.launcher.started) == 2)
        worker = bench.launcher.started[1]
        await bench.until(lambda: worker.received)
        worker.send(Need("x"))
        await bench.until(lambda: len(worker.received) == 2)
        worker.send(Reply())
        await checking
        assert worker.shelf == ""
        assert bench.pool.shelves.called == {}

    with_bench(1, test)


@pytest.mark.parametrize("isolation", [Isolation.USER, Isolation.VIEWER])
def test_what_one_owner_calls_is_on_no_shelf_of_anothers(isolation: Isolation) -> None:
    async def test(bench: Bench) -> None:
        await call(bench, "anna", "x")
        await call(bench, "bob", "y")
        bench.pool.shelves.put("anna", [X, Y])
        assert bench.pool.shelves.models("anna") == {}

    with_bench(1, test, isolation)


# --- without owners, and with a worker a job ---


def test_without_isolation_everybodys_workers_come_from_one_shelf() -> None:
    async def test(bench: Bench) -> None:
        await call(bench, "anna", "x")
        await call(bench, "bob", "y")
        assert bench.pool.shelves.called == {None: {"x", "y"}}
        bench.pool.shelves.put(None, [X, Y])
        key = bench.launcher.fill(X, Y)
        await until_there(bench, key, key)
        await call(bench, "carl", "x")
        await call(bench, "anna", "x")
        assert [len(each.received) for each in of(bench, key)] == [0, 2]
        of(bench, key)[0].die()
        await until_there(bench, key, key)

    with_bench(2, test, Isolation.OFF)


def test_a_job_that_has_a_worker_of_its_own_gets_it_from_its_owners_shelf() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await call(bench, "anna", "x")
        for _ in range(3):
            await bench.settle()
            await call(bench, "anna", "x")
        used = [each for each in bench.launcher.started if each.received]
        assert [each.shelf for each in used[-3:]] == 3 * [key]
        assert max(len(each.received) for each in used) == 1

    with_bench(1, test, Isolation.JOB)


# --- when others are started ---


def test_a_worker_that_is_worn_out_has_a_successor_from_the_same_shelf() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await until_there(bench, key, "")
        running = bench.begin(b"hang", owner="anna")
        await bench.until(lambda: of(bench, key)[0].received)
        of(bench, key)[0].send(Reply(recycle=True))
        await running
        await until_there(bench, key, "")

    with_bench(2, test)


def test_one_in_the_place_of_anothers_comes_from_the_shelf_at_once() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await bench.run(b"bobs", owner="bob")
        before = len(bench.launcher.started)
        await call(bench, "anna", "x")
        assert [each.shelf for each in bench.launcher.started[before:]] == [key]

    with_bench(1, test)


def test_a_shelf_that_goes_takes_its_workers_along_in_turn() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await until_there(bench, key)
        del bench.launcher.shelves[key]
        await call(bench, "anna", "x")
        await until_there(bench, "")
        await call(bench, "anna", "x")

    with_bench(1, test)


def test_a_new_version_is_called_on_the_workers_there_are_until_it_is_on_a_shelf() -> None:
    async def test(bench: Bench) -> None:
        old = await shelve(bench, "anna", X)
        await until_there(bench, old)
        bench.pool.shelves.put("anna", [NEW_X])
        assert await started_by(bench) == 0
        assert bench.launcher.asked[-1] == ["x"]
        await call(bench, "anna", "x")
        new = bench.launcher.fill(NEW_X)
        await until_there(bench, new)
        del bench.launcher.shelves[old]
        assert await started_by(bench) == 0

    with_bench(1, test)


def test_without_models_an_owner_has_no_shelf_any_more() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await until_there(bench, key)
        bench.pool.shelves.put("anna", [])
        await until_there(bench, "")

    with_bench(1, test)


def test_another_fork_server_replaces_workers_of_no_shelf_only() -> None:
    async def test(bench: Bench) -> None:
        key = await shelve(bench, "anna", X)
        await until_there(bench, key, "")
        bench.launcher.origin = "two"
        await bench.until(lambda: bench.counters.ends["replaced"] == 2)
        await until_there(bench, key, "")
        assert await started_by(bench) == 0

    with_bench(2, test)


# --- shelves that hang ---


def test_a_shelf_that_gives_no_worker_is_not_asked_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter, "SHELF_TIMEOUT", 0.02)

    async def test(bench: Bench) -> None:
        bench.launcher.shelves_hang = True
        key = await shelve(bench, "anna", X)
        await bench.until(lambda: bench.pool.shelves._distrusted)
        assert not bench.pool._workers.starter.is_pausing, "others can be started"
        await call(bench, "anna", "x")
        await call(bench, "bob", "x")
        assert [each.shelf for each in bench.launcher.started].count(key) == 1
        bench.launcher.shelves_hang = False
        bench.pool.shelves._distrusted = {key: 0.0}  # the while is over
        await call(bench, "anna", "x")
        await until_there(bench, key)

    with_bench(1, test)


# --- asking for shelves ---


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def launcher() -> FakeLauncher:
    return FakeLauncher()


def sharing(launcher: FakeLauncher, **models: list[Reference]) -> Shelves:
    found = Shelves(launcher, by_owner=True)
    for owner, references in models.items():
        for each in references:
            found.note(owner, each.name)
        found.put(owner, references)
    return found


def test_a_shelf_is_asked_for_as_long_as_its_owner_has_workers(
    clock: list[float], launcher: FakeLauncher
) -> None:
    found = sharing(launcher, anna=[X], bob=[Y])
    for _ in range(5):
        found.ask(["anna"])
    assert sorted(launcher.asked) == [["x"], ["y"]], "at once, and not all the time"
    clock[0] += shelves.ASK_SECONDS
    found.ask(["anna"])
    assert sorted(launcher.asked[2:]) == [["x"], ["y"]], "who has called lately may do so again"
    clock[0] += shelves.LATELY
    found.ask(["anna", None])
    assert launcher.asked[4:] == [["x"]]


def test_another_list_is_asked_for_at_once(clock: list[float], launcher: FakeLauncher) -> None:
    found = sharing(launcher, anna=[X])
    found.ask(["anna"])
    found.note("anna", "y")
    found.put("anna", [Y, X])
    found.ask(["anna"])
    assert launcher.asked == [["x"], ["y", "x"]]


def test_one_shelf_of_two_owners_is_asked_for_once(
    clock: list[float], launcher: FakeLauncher
) -> None:
    sharing(launcher, anna=[X, Y], bob=[Y, X]).ask(["anna", "bob"])
    assert len(launcher.asked) == 1


def test_calls_that_are_new_are_counted(launcher: FakeLauncher) -> None:
    found = Shelves(launcher, by_owner=True)
    seen = []
    for owner, name in [("anna", "x"), ("anna", "x"), ("bob", "x"), ("anna", "y"), ("bob", "x")]:
        found.note(owner, name)
        seen.append(found.news)
    assert seen == [1, 1, 2, 3, 3]
    found.forget({"x"})
    assert found.called == {"anna": {"x"}, "bob": {"x"}}


def test_so_many_owners_are_known_and_the_last_callers_stay(launcher: FakeLauncher) -> None:
    found = sharing(launcher, anna=[X], bob=[X])
    for number in range(OWNERS_KEPT - 1):
        found.note("anna", "x")
        found.note(f"user {number}", "x")
    assert len(found.called) == OWNERS_KEPT
    assert found.models("anna") == {"x": X.sha256}
    assert found.models("bob") == {}
    launcher.fill(X)
    assert found.source("bob") is None
    assert found.source("anna") is not None


def test_a_key_is_that_of_names_and_archives() -> None:
    assert shelf_key([X, Y]) == shelf_key([Y, X])
    other = Reference("x", 7, X.sha256, "/elsewhere", "3.12.0", 5)
    assert shelf_key([other]) == shelf_key([X])
    assert len({shelf_key(each) for each in ([X], [Y], [NEW_X], [X, Y], [X, Y, Z])}) == 5
