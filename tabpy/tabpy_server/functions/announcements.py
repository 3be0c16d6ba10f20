"""What is going to serve, told by the web process that deploys it to the others of its machine.

A file in a folder of theirs says what it is, and a value in their shared memory that there is one.
Whoever has done what it can puts a file of its own beside it.
"""

import asyncio
import os
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.json_codec import dumps, loads

LOOK_INTERVAL = 0.02  # seconds between looks for others' files, while one waits for them
STALE_AFTER = 60.0  # seconds: who waited for an answer is gone


class Coming(NamedTuple):
    """A version of the function `name` that doesn't serve yet: see `Reference`."""

    name: str
    sha256: str
    python: str


class Announcements:
    """Those of one web process, and those that it has to hear. `others` is how many there are."""

    def __init__(self, token: ChangeToken, folder: Path, others: int) -> None:
        self._token = token
        self._folder = folder
        self._others = others
        self._own = uuid.uuid4().hex  # what the keys of its own begin with
        self._seen = token.value()
        self._heard: set[str] = set()

    async def tell(self, coming: Coming) -> None:
        """Tell the others, and wait until all have answered. Raises OSError, and leaves nothing
        behind, also when it is cancelled."""
        if self._others == 0:
            return
        key = f"{self._own}-{uuid.uuid4().hex}"
        try:
            await asyncio.to_thread(self._write, key, coming)
            self._token.change()
            while not await asyncio.to_thread(self._all_have_answered, key):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_INTERVAL)  # it's other processes that are waited for
        finally:
            for file in self._files(f"{key}*"):
                file.unlink(missing_ok=True)

    async def hear(self) -> dict[str, Coming]:
        """Return by a key what others have told since the last time. Raises OSError."""
        if self._token.value() == self._seen:
            return {}
        self._seen = self._token.value()
        told = await asyncio.to_thread(self._read)
        new = told.keys() - self._heard
        self._heard = {*told}
        return {key: told[key] for key in new}

    async def answer(self, key: str) -> None:
        """Say that nothing is left to do here for what was told. Raises OSError."""
        await asyncio.to_thread((self._folder / f"{key}.{os.getpid()}").touch)

    def _all_have_answered(self, key: str) -> bool:
        return len(self._files(f"{key}.*")) >= self._others

    def _write(self, key: str, coming: Coming) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._folder / f"{key}.new"
        temporary.write_bytes(dumps(coming._asdict()))
        temporary.replace(self._folder / key)

    def _read(self) -> dict[str, Coming]:
        found = {}
        for file in self._files("*"):
            if file.name.startswith(self._own):
                continue
            try:
                if file.stat().st_mtime < time.time() - STALE_AFTER:
                    file.unlink()
                elif not file.suffix:
                    found[file.name] = Coming(**loads(file.read_bytes()))
            except (OSError, TypeError, ValueError):
                continue  # it's gone already, or nothing of ours
        return found

    def _files(self, pattern: str) -> list[Path]:
        return [*self._folder.glob(pattern)]
