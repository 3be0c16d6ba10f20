"""What was checked is what is stored, whatever a script does to the archive's name meanwhile."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import RefusedError
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.metadata import DeployRequest
from tabpy.tabpy_server.functions.store.opened_archive import (
    OpenedArchive,
    open_archive,
    open_operators,
)
from tabpy.tabpy_server.functions.store.store import Store
from tabpy.tabpy_server.workers.protocol import CheckArchive, Task
from tests.functions.building import FakeRunner, catalog_of, deployer_of, sha256
from tests.functions.swapping import Swap, swaps

Write = Callable[[bytes], OpenedArchive]

PATIENCE = 20.0  # seconds
DATA = b"what came"


class Attacker(FakeRunner):
    """A worker that changes the archive which it checks, once."""

    def __init__(self, swap: Swap) -> None:
        super().__init__()
        self._swap: Swap | None = swap

    async def run_isolated(self, task: Task, limit: float, /, body: Sequence[bytes] = ()) -> bytes:
        assert isinstance(task, CheckArchive)
        if self._swap is not None:
            swap, self._swap = self._swap, None
            swap(Path(task.path))
        return await super().run_isolated(task, limit, body)


def request(name: str) -> DeployRequest:
    return DeployRequest(name, "model", {})


async def deploy(deployer: Deployer, name: str, archive: OpenedArchive) -> None:
    async with asyncio.timeout(PATIENCE):
        await deployer.create(request(name), archive)


def stored(store: Store) -> dict[str, str]:
    return {name: each.archive.sha256 for name, each in store.load().items() if each.archive}


def attacked(store: Store, folder: Path, swap: Swap) -> Deployer:
    return deployer_of(catalog_of(lambda: store, folder / "archives"), Attacker(swap))


@swaps
def test_an_archive_that_is_swapped_while_it_is_checked_is_refused(
    store: Store, tmp_path: Path, archive: Write, swap: Swap
) -> None:
    deployer = attacked(store, tmp_path, swap)

    async def deploy_two() -> None:
        with pytest.raises(RefusedError, match=r"The archive was changed while it was checked\. D"):
            await deploy(deployer, "first", archive(DATA))
        await deploy(deployer, "second", archive(b"of another person"))

    asyncio.run(deploy_two())
    assert stored(store) == {"second": sha256(b"of another person")}


@pytest.mark.parametrize("data", [b"what cage", b"short", b""])
def test_one_that_is_written_to_is_refused_too(
    store: Store, tmp_path: Path, archive: Write, data: bytes
) -> None:
    deployer = attacked(store, tmp_path, lambda path: path.write_bytes(data))
    with pytest.raises(RefusedError, match="was changed while it was checked"):
        asyncio.run(deploy(deployer, "first", archive(DATA)))
    asyncio.run(deploy(deployer, "second", archive(DATA)))
    assert stored(store) == {"second": sha256(DATA)}


def test_what_is_appended_is_not_stored(store: Store, tmp_path: Path, archive: Write) -> None:
    def append(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b" and more")

    deployer = attacked(store, tmp_path, append)
    asyncio.run(deploy(deployer, "first", archive(DATA)))
    assert stored(store) == {"first": sha256(DATA)}
    store.read_archive(sha256(DATA), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == DATA


def test_one_that_waits_for_its_turn_is_measured_before(
    store: Store, tmp_path: Path, archive: Write
) -> None:
    waiting = archive(b"of a person who waits")

    class Patient(Attacker):
        """Attacks the one who waits, once its archive has been measured."""

        async def run_isolated(self, *task: Any) -> bytes:
            while not waiting.stored.sha256:  # noqa: ASYNC110 - a turn of the loop, and no time
                await asyncio.sleep(0)
            return await super().run_isolated(*task)

    runner = Patient(lambda _: waiting.path.write_bytes(b"of an attacker"))
    deployer = deployer_of(catalog_of(lambda: store, tmp_path / "archives"), runner)

    async def deploy_both() -> None:
        first = asyncio.ensure_future(deploy(deployer, "first", archive(DATA)))
        second = asyncio.ensure_future(deploy(deployer, "second", waiting))
        await asyncio.wait((first, second))
        first.result()
        with pytest.raises(RefusedError, match="was changed while it was checked"):
            second.result()

    asyncio.run(deploy_both())
    assert stored(store) == {"first": sha256(DATA)}


# --- opening ---


@swaps
def test_what_is_no_file_or_missing_is_refused_at_once(tmp_path: Path, swap: Swap) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "archive").write_bytes(DATA)
    swap(folder / "archive")
    if (folder / "archive").is_file() and not (folder / "archive").is_symlink():
        return  # another file is a file
    with pytest.raises(RefusedError, match=r"^The archive can't be used\. Expected a regular file"):
        open_archive(folder / "archive")


def test_a_file_with_two_names_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    os.link(secret, tmp_path / "archive")
    with pytest.raises(RefusedError, match="with one name: it has several names"):
        open_archive(tmp_path / "archive")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "archive"
    file.write_bytes(DATA)
    os.chown(file, 4321, -1)
    with pytest.raises(RefusedError, match="it belongs to another user"):
        open_archive(file)


def test_what_an_operator_put_there_may_be_a_link_but_no_fifo(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    (tmp_path / "link").symlink_to(file)
    os.link(file, tmp_path / "other name")
    with open_operators(tmp_path / "link") as archive:
        archive.measure()
        archive.check_name()
        assert archive.stored.sha256 == sha256(DATA)
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "none"):
        with pytest.raises(RefusedError):
            open_operators(tmp_path / name)
