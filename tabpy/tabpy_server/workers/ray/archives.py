"""The web process: archives on their way to nodes, through Ray's object store."""

import asyncio
import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.workers.protocol import (
    Answer,
    CheckArchive,
    Job,
    Load,
    Message,
    Query,
)
from tabpy.tabpy_server.workers.ray.cluster import Cluster
from tabpy.tabpy_server.workers.ray.seat import Archive

KEPT = 32  # archives that stay in the object store for the next node


class Archives:
    """Puts each into the object store once; nodes have them as files from then on."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._held: OrderedDict[str, Any] = OrderedDict()

    async def for_message(self, message: Message, known: set[str], damaged: str) -> Archive | None:
        """Return the archive that a message speaks of, unless the receiver has it. `known`: the
        SHA-256 of those that it has; `damaged`: of one whose file there isn't whole."""
        match message:
            case Answer(reference) | Job(Query(reference) | Load(reference)):
                sha256, path = reference.sha256, reference.path
            case Job(CheckArchive(path)) if path:
                sha256 = await asyncio.to_thread(_sha256, path)
            case _:
                return None
        if sha256 in known and sha256 != damaged:
            return None
        known.add(sha256)
        return Archive(sha256, [await self._put(sha256, path)], anew=sha256 == damaged)

    async def _put(self, sha256: str, path: str) -> Any:
        if sha256 not in self._held:
            self._held[sha256] = await self._cluster.call(_put, path)
            if len(self._held) > KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(sha256)
        return self._held[sha256]

    def forget(self) -> None:
        """Forget all: the cluster that had them is gone."""
        self._held.clear()


def _put(path: str) -> Any:
    import ray

    return ray.put(Path(path).read_bytes())


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
