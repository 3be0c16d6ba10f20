"""The issuer's keys: at hand for every token, whatever the issuer and strangers do."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

import pytest

pytest.importorskip("jwt", reason="PyJWT isn't installed: pip install '.[oauth]'")

from tabpy.tabpy_server.access import key_set
from tabpy.tabpy_server.access.key_download import Key, KeyDownloadError
from tabpy.tabpy_server.access.key_set import KeySet
from tabpy.tabpy_server.errors import KeysUnavailableError
from tests.issuer import Issuer
from tests.running import PATIENCE


class FakeDownload:
    """The issuer's keys, or an `error`, once it `may_end`; `begun` counts."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.error: Exception | None = None
        self.begun = 0
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self) -> Mapping[str, Key]:
        self.begun += 1
        keys = self.issuer.known()  # as they are when the issuer is asked
        assert self.may_end.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return keys


@pytest.fixture
def download() -> Iterator[FakeDownload]:
    made = FakeDownload(Issuer())
    yield made
    made.may_end.set()


@pytest.fixture
def keys(download: FakeDownload) -> KeySet:
    return KeySet(download)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_set, "PAUSE", 0.0)


def run(exchange: Callable[[], Awaitable[None]]) -> None:
    async def with_patience() -> None:
        async with asyncio.timeout(PATIENCE):
            await exchange()

    asyncio.run(with_patience())


async def begun(download: FakeDownload, count: int) -> None:
    while download.begun < count:  # noqa: ASYNC110 - counted on another thread
        await asyncio.sleep(0.001)


def test_the_first_token_has_the_keys_fetched(keys: KeySet, download: FakeDownload) -> None:
    assert keys.known() == {}
    assert asyncio.run(keys.find("first")) is not None
    assert keys.known().keys() == {"first"}
    assert download.begun == 1


def test_a_known_key_is_fetched_no_more(keys: KeySet, download: FakeDownload) -> None:
    async def exchange() -> None:
        for _ in range(10):
            assert await keys.find("first")
        assert download.begun == 1

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_a_known_key_never_waits_for_an_issuer_that_is_slow(
    keys: KeySet, download: FakeDownload
) -> None:
    async def exchange() -> None:
        await keys.find("first")
        download.may_end.clear()
        stranger = asyncio.ensure_future(keys.find("invented"))
        await begun(download, 2)
        finding = keys.find("first")
        with pytest.raises(StopIteration) as found:
            finding.send(None)  # it is there before the loop has another turn
        assert found.value.value
        download.may_end.set()
        assert await stranger is None

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_a_new_key_counts_at_once_while_forged_ones_come_by_the_hundred(
    keys: KeySet, download: FakeDownload
) -> None:
    async def exchange() -> None:
        await keys.find("first")
        download.may_end.clear()
        storm = [asyncio.ensure_future(keys.find(f"invented {number}")) for number in range(300)]
        await begun(download, 2)  # and has the old keys
        download.issuer.rotate("second")
        rotated = asyncio.ensure_future(keys.find("second"))
        storm += [asyncio.ensure_future(keys.find(f"more {number}")) for number in range(300)]
        await asyncio.sleep(0)
        download.may_end.set()
        assert await rotated is not None
        assert set(await asyncio.gather(*storm)) == {None}
        assert download.begun <= 4, "all of a storm share a fetch"

    run(exchange)


def test_between_fetches_there_is_a_pause_whoever_asks(
    keys: KeySet, download: FakeDownload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "PAUSE", 3600.0)

    async def exchange() -> None:
        await keys.find("first")
        monkeypatch.setattr(key_set, "LONGEST_WAIT", 0.01)
        with pytest.raises(KeysUnavailableError):
            await keys.find("invented")
        assert download.begun == 1

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_one_failure_locks_nobody_out(keys: KeySet, download: FakeDownload) -> None:
    async def exchange() -> None:
        download.error = OSError("500")
        with pytest.raises(KeysUnavailableError):
            await keys.find("first")
        download.error = None
        assert await keys.find("first")

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_known_keys_count_on_while_the_issuer_is_down_and_strange_ones_cannot_be_checked(
    keys: KeySet, download: FakeDownload
) -> None:
    async def exchange() -> None:
        await keys.find("first")
        download.error = ConnectionRefusedError()
        with pytest.raises(KeysUnavailableError):
            await keys.find("second")
        assert await keys.find("first")

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_a_fetch_that_never_ends_is_not_waited_for_without_end(
    keys: KeySet, download: FakeDownload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "LONGEST_WAIT", 0.01)

    async def exchange() -> None:
        download.may_end.clear()
        with pytest.raises(KeysUnavailableError):
            await keys.find("first")
        download.may_end.set()

    run(exchange)


@pytest.mark.parametrize("leaves", [0, 1])
def test_who_stops_waiting_ends_no_fetch_that_others_wait_for(
    keys: KeySet, download: FakeDownload, leaves: int
) -> None:
    async def exchange() -> None:
        download.may_end.clear()
        tokens = [asyncio.ensure_future(keys.find("first"))]
        await begun(download, 1)
        tokens.append(asyncio.ensure_future(keys.find("first")))
        await asyncio.sleep(0)
        tokens.pop(leaves).cancel()
        await asyncio.sleep(0)
        download.may_end.set()
        assert await tokens[0] is not None

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_a_withdrawn_key_is_forgotten_with_the_next_fetch(
    keys: KeySet, download: FakeDownload
) -> None:
    async def exchange() -> None:
        await keys.find("first")
        download.issuer.rotate("second")
        assert await keys.find("second")
        assert await keys.find("first") is None

    run(exchange)


def test_keys_that_could_not_be_fetched_for_a_day_count_no_more(
    keys: KeySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(keys.find("first"))
    now, day = time.monotonic(), 24 * 3600
    monkeypatch.setattr(time, "monotonic", lambda: now + day - 60)
    assert keys.known() != {}
    monkeypatch.setattr(time, "monotonic", lambda: now + day + 1)
    assert keys.known() == {}


@pytest.mark.usefixtures("no_pause")
def test_the_keys_are_one_object_for_as_long_as_they_are_the_same(
    keys: KeySet, download: FakeDownload
) -> None:
    async def exchange() -> None:
        await keys.find("first")
        before = keys.known()
        await keys.find("invented")
        assert download.begun == 2
        assert keys.known() is before

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_they_are_fetched_before_anybody_asks_and_again_later(
    keys: KeySet, download: FakeDownload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "REFRESH", 0.0)
    monkeypatch.setattr(key_set, "RETRY", 0.0)

    async def exchange() -> None:
        keeping = asyncio.ensure_future(keys.keep())
        await begun(download, 2)
        assert keys.known().keys() == {"first"}
        download.error = OSError()
        await begun(download, download.begun + 2)  # it goes on after failures
        download.error = None
        download.issuer.rotate("second")
        while keys.known().keys() != {"second"}:  # noqa: ASYNC110 - fetched on another thread
            await asyncio.sleep(0.001)
        keeping.cancel()

    run(exchange)


@pytest.mark.usefixtures("no_pause")
def test_an_issuer_that_is_down_is_one_line_in_the_log_and_its_return_another(
    keys: KeySet, download: FakeDownload, caplog: pytest.LogCaptureFixture
) -> None:
    async def exchange() -> None:
        download.error = KeyDownloadError("the answer isn't JSON")
        for _ in range(3):
            with pytest.raises(KeysUnavailableError):
                await keys.find("first")
        download.error = None
        await keys.find("first")

    with caplog.at_level(logging.INFO, logger=key_set.__name__):
        run(exchange)
    assert [each.getMessage() for each in caplog.records] == [
        "The issuer's keys can't be fetched from TABPY_OAUTH_JWKS_URI: the answer isn't JSON. "
        "No token can be checked until they can.",
        "The issuer's keys can be fetched again.",
        "The issuer has 1 keys.",
    ]
