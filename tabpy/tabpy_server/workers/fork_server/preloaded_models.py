"""The fork server's child that loads large models, for all workers that it then forks.

A model is read-only data, mostly, and a fork shares memory until it is written to: a model loaded
before the fork takes its place once. Loading runs somebody's code, so it happens in a process of
its own, which can fail without harm: it tells its parent how far it is.
"""

import gc
import os
import traceback
from collections.abc import Sequence
from pathlib import Path

import orjson

from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker.models import Key, Model, load

TRACE_LIMIT = 2_000  # characters; with the rest of its line less than a pipe takes at once


class Progress:
    """What the child tells its parent, a line of JSON at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def loading(self, reference: Reference) -> None:
        """Say that this one is next."""
        self._write({"loading": [reference.name, reference.sha256]})

    def failed(self, error: BaseException) -> None:
        """Say why the one that was being loaded can't be."""
        trace = "".join(traceback.format_exception(error))
        self._write({"failed": trace[-TRACE_LIMIT:]})

    def ready(self) -> None:
        """Say that all are loaded, and that workers can be forked."""
        self._write({"ready": True})

    def _write(self, line: object) -> None:
        os.write(self._descriptor, orjson.dumps(line) + b"\n")


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
