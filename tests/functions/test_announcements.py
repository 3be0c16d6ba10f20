"""One web process tells the others what is coming, and waits until they are ready for it."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions import announcements as announcing
from tabpy.tabpy_server.functions.announcements import Announcements, Coming
from tabpy.tabpy_server.functions.change_token import ChangeToken
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


def test_what_is_old_or_nothing_of_ours_is_not_heard(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    (folder / "damaged").write_text("{")
    (folder / "other").write_text('{"a": 1}')

    async def run() -> None:
        token = ChangeToken()
        other = Announcements(token, folder, others=1)
        token.change()
        assert await other.hear() == {}
        monkeypatch.setattr(announcing, "STALE_AFTER", -10.0)
        token.change()
        assert await other.hear() == {}

    asyncio.run(run())
    assert left(folder) == [], "what is old is removed"
