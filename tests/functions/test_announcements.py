"""One web process tells the others what is coming, and waits until they are ready for it."""

import asyncio
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions.announcements import STALE_AFTER, Announcements, Coming
from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.json_codec import dumps
from tests.running import PATIENCE

COMING = Coming("f", "5ha", "3.13.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "coming"


def left(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def heard(other: Announcements) -> dict[str, Coming]:
    async with asyncio.timeout(PATIENCE):
        while not (told := await other.hear()):  # noqa: ASYNC110 - a thread works on it
            await asyncio.sleep(0)
    return told


def test_who_tells_waits_for_the_others(folder: Path) -> None:
    async def run() -> None:
        token = ChangeToken()
        one, other, third = (Announcements(token, folder, others=1) for _ in range(3))
        telling = asyncio.create_task(one.tell(COMING))
        told = await heard(other)
        assert [*told.values()] == [COMING]
        assert await other.hear() == {}, "once"
        assert await third.hear() == told
        assert await one.hear() == {}, "nobody hears itself"
        assert not telling.done()
        for key in told:
            await other.answer(key)
        await telling

    asyncio.run(run())
    assert left(folder) == []


def test_nobody_hears_itself_even_while_it_listens_to_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        token = ChangeToken()
        one, other = (Announcements(token, folder, others=1) for _ in range(2))
        told, read, is_read = threading.Event(), one._read, asyncio.Event()
        loop = asyncio.get_running_loop()

        def read_slowly() -> dict[str, Coming]:
            found = read()
            loop.call_soon_threadsafe(is_read.set)
            assert told.wait(PATIENCE)
            return found

        with monkeypatch.context() as patched:
            patched.setattr(one, "_read", read_slowly)
            token.change()
            hearing = asyncio.create_task(one.hear())
            await is_read.wait()
            telling = asyncio.create_task(one.tell(COMING))
            [key] = await heard(other)
            told.set()
            assert await hearing == {}
        token.change()
        assert await one.hear() == {}
        await other.answer(key)
        await telling

    asyncio.run(run())


def test_whoever_is_alone_tells_nobody(folder: Path) -> None:
    asyncio.run(Announcements(ChangeToken(), folder, others=0).tell(COMING))
    assert not folder.exists()


def test_who_has_no_patience_leaves_nothing_behind(folder: Path) -> None:
    async def run() -> None:
        token = ChangeToken()
        one, other = (Announcements(token, folder, others=1) for _ in range(2))
        telling = asyncio.create_task(one.tell(COMING))
        [key] = await heard(other)
        telling.cancel()
        await asyncio.wait([telling])
        await other.answer(key)
        assert left(folder) == [f"{key}.{os.getpid()}"]

    asyncio.run(run())


def test_who_has_no_room_to_tell_it_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        asyncio.run(Announcements(ChangeToken(), folder, others=1).tell(COMING))
    assert left(folder) == []


def test_what_is_old_or_nothing_of_ours_is_not_heard(folder: Path) -> None:
    folder.mkdir()
    (folder / "damaged").write_text("{")
    (folder / "other").write_text('{"a": 1}')
    for name, age in (("new", STALE_AFTER - 10), ("old", STALE_AFTER + 10), ("old.1", 1e6)):
        (folder / name).write_bytes(dumps(COMING._asdict()))
        os.utime(folder / name, 2 * (time.time() - age,))

    async def run() -> None:
        token = ChangeToken()
        other = Announcements(token, folder, others=1)
        token.change()
        assert await other.hear() == {"new": COMING}

    asyncio.run(run())
    assert sorted(left(folder)) == ["damaged", "new", "other"], "what is old is removed"
