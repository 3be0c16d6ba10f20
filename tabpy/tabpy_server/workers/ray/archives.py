"""The web process: archives on their way to nodes, through Ray's object store."""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.workers.protocol import (
    Answer,
    CheckArchive,
    Job,
    Load,
    Message,
    Query,
    Reference,
)
from tabpy.tabpy_server.workers.ray.cluster import Cluster
from tabpy.tabpy_server.workers.ray.seat import Archive

KEPT = 32  # archives that stay in the object store for the next node


class Archives:
    """Puts each into the object store once; nodes have them as files from then on."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._held: OrderedDict[str, Any] = OrderedDict()

    async def for_node(
        self, message: Message, folder: str, known: set[str], damaged: str
    ) -> tuple[Message, Archive | None]:
        """Return a message with a node's path of the archive that it speaks of, and that archive
        unless the node has it.

        `folder`: where the node keeps archives. `known`: the SHA-256 of those that it has;
        `damaged`: of one whose file there isn't whole.
        """
        there: Message
        match message:
            case Answer(reference):
                there = Answer(_moved(reference, folder))
                sha256, path = reference.sha256, reference.path
            case Job(Query(reference) | Load(reference) as task):
                there = replace(message, task=type(task)(_moved(reference, folder)))
                sha256, path = reference.sha256, reference.path
            case Job(CheckArchive(path) as task) if path:
                sha256 = await asyncio.to_thread(_sha256, path)
                there = replace(message, task=replace(task, path=f"{folder}/{sha256}"))
                damaged = sha256  # whatever lies there: who checks an archive doesn't look
            case _:
                return message, None
        if sha256 in known and sha256 != damaged:
            return there, None
        archive = Archive(sha256, [await self._put(sha256, path)], sha256 == damaged)
        known.add(sha256)
        return there, archive

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


def _moved(reference: Reference, folder: str) -> Reference:
    return replace(reference, path=f"{folder}/{reference.sha256}")


def _put(path: str) -> Any:
    import ray

    return ray.put(Path(path).read_bytes())


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
