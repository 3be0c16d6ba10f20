"""How often each deployed function was called since the start, and how long that took.

All web processes count in the same memory. Each function has a place in it, found by a hash of its
name, and who changes one locks its byte of a file: the kernel takes such a lock away from a process
that is killed.
"""

import bisect
import hashlib
import itertools
import math
import mmap
import os
import struct
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":  # where there is one web process
    import fcntl

PLACES = 8192  # functions; those that find none aren't counted
TRIES = 32  # places that a function may have
FIRST, STEP, BUCKETS = 0.0005, math.sqrt(2), 40  # seconds, and factor: up to six minutes
BOUNDS = [FIRST * STEP**number for number in range(BUCKETS - 1)]
RECORD = struct.Struct(f"=8sII{BUCKETS}I")  # hash of the name, calls, errors, calls by duration
FREE = bytes(8)


@dataclass(frozen=True)
class Figures:
    """`calls` include `errors`. `median`: seconds on a worker, to a fifth; None without calls."""

    calls: int = 0
    errors: int = 0
    median: float | None = None


class FunctionFigures:
    """Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, PLACES * RECORD.size)
        self._locks = -1
        if sys.platform != "win32":
            self._locks, name = tempfile.mkstemp()
            Path(name).unlink()  # its locks are all that is needed of it
            weakref.finalize(self, os.close, self._locks)

    def add(self, name: str, seconds: float | None, *, failed: bool) -> None:
        """Count a call of a function that exists; `seconds`: how long it was on a worker, None if
        it had none of its own."""
        key = _key(name)
        for place in _places(key):
            with self._locked(place):
                found, (calls, errors, *buckets) = self._read(place)
                if found not in (key, FREE):
                    continue
                if seconds is not None:
                    buckets[bisect.bisect(BOUNDS, seconds)] += 1
                RECORD.pack_into(
                    self._shared, place * RECORD.size, key, calls + 1, errors + failed, *buckets
                )
                return

    def of(self, name: str) -> Figures:
        """Return what was counted of a function, by all web processes."""
        key = _key(name)
        for place in _places(key):
            found, (calls, errors, *buckets) = self._read(place)
            if found == FREE:
                break
            if found == key:
                return Figures(calls, errors, _median(buckets))
        return Figures()

    def _read(self, place: int) -> tuple[bytes, list[int]]:
        found, *counts = RECORD.unpack_from(self._shared, place * RECORD.size)
        return found, counts

    @contextmanager
    def _locked(self, place: int) -> Iterator[None]:
        """Keep the other web processes from one place, for some microseconds."""
        if sys.platform != "win32":
            fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            if sys.platform != "win32":
                fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)


def _key(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _places(key: bytes) -> Iterator[int]:
    first = int.from_bytes(key, "big")
    return ((first + step) % PLACES for step in range(TRIES))


def _median(buckets: list[int]) -> float | None:
    """Return the middle of the bucket that the middle call is in."""
    half = sum(buckets) / 2
    if not half:
        return None
    middle = bisect.bisect_left(list(itertools.accumulate(buckets)), half)
    return FIRST * math.pow(STEP, middle - 0.5)
