"""The fork server's child that has large models, for the workers of those who call them.

A model is read-only data, mostly, and a fork shares memory until it is written to: a model loaded
before the fork takes its place once. Loading runs somebody's code, which may change this process
for good. So it has nothing of its parent's: only a line to it, through which it says how far it
is, and is asked for workers.
"""

import gc
import socket
import traceback
from collections.abc import Sequence
from pathlib import Path

import orjson

from tabpy.tabpy_server.workers.fork_server.server import ForkServer
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker.models import Key, Model, load

TRACE_LIMIT = 2_000  # characters


class Progress:
    """What the child tells its parent, a message of JSON at a time."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def loading(self, reference: Reference) -> None:
        """Say that this one is next."""
        self._send({"loading": [reference.name, reference.sha256]})

    def failed(self, error: BaseException) -> None:
        """Say why the one that was being loaded can't be."""
        trace = "".join(traceback.format_exception(error))
        self._send({"failed": trace[-TRACE_LIMIT:]})

    def ready(self) -> None:
        """Say that all are loaded, and that workers can be forked."""
        self._send({"ready": True})

    def _send(self, message: object) -> None:
        self._line.send(orjson.dumps(message))


def load_all(wanted: Sequence[Reference], progress: Progress) -> dict[Key, Model]:
    """Load `wanted` in this process; by name and SHA-256.

    Raises what a model raises, and RuntimeError for one that leaves a thread behind: a process
    with threads can't be forked safely.
    """
    models = {}
    for reference in wanted:
        progress.loading(reference)
        models[reference.name, reference.sha256] = load(reference)
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            raise RuntimeError("it started a thread")
    gc.collect()
    gc.freeze()
    return models


class ShelfServer(ForkServer):
    """Forks workers that have models."""

    def _remove_folder(self, worker_pid: int) -> None:
        """Put it aside: the parent removes it, and so knows that all children here are workers."""
        self._folders.discard(worker_pid)
