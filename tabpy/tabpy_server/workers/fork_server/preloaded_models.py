"""The template process: large models, loaded once and shared by all workers forked afterwards.

A worker's memory is its parent's until one of them writes to it, so a model that lies there before
the fork takes its place once. Loading runs somebody's code, so it happens in a process of its own,
which can fail without harm: it reports each model before it loads it.
"""

import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker.models import Key, Model, load

LOADING, READY = b"L", b"R"


@dataclass(frozen=True)
class Shelf:
    """Models by name and SHA-256 of their archives, and the message that asked for them."""

    wish: bytes = b""
    models: Mapping[Key, Model] = field(default_factory=dict)


EMPTY = Shelf()


def wish(references: Sequence[Mapping[str, Any]]) -> bytes:
    """The message that asks for these models (`Catalog.reference`)."""
    return orjson.dumps(list(references), option=orjson.OPT_SORT_KEYS)


def references(message: bytes) -> list[dict[str, Any]]:
    wished: list[dict[str, Any]] = orjson.loads(message)
    return wished


def fill(message: bytes, wanted: Sequence[Mapping[str, Any]], progress: int) -> Shelf:
    """Load `wanted` in this process; says on the descriptor `progress` where it is.

    Raises what a model raises, and RuntimeError for one that leaves a thread behind: a process
    with threads can't be forked safely.
    """
    models = {}
    for reference in wanted:
        os.write(progress, LOADING)
        models[(reference["name"], reference["sha256"])] = load(Reference(**reference))
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            raise RuntimeError("it started a thread")
    gc.collect()
    gc.freeze()
    os.write(progress, READY)
    return Shelf(message, models)
