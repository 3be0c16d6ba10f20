"""Samples where a web process is: the benchmarks put this folder on PYTHONPATH.

A profiling timer counts the process's own CPU time, so waiting isn't sampled. A fork has no timer
of its parent's, so each process starts its own, and each has a file of its own.
The fork server and its workers have another environment, and aren't sampled.
"""

import collections
import os
import pathlib
import signal
import time
from types import FrameType

EVERY = 0.001  # seconds of CPU
SAVED_EVERY = 0.5  # seconds: a process may be killed
FOLDER = os.environ.get("BENCHMARK_SAMPLES", "")

stacks: collections.Counter[str] = collections.Counter()
saved = 0.0


def look(_: int, frame: FrameType | None) -> None:
    global saved  # noqa: PLW0603 - a signal handler has nowhere else to keep it
    places = []
    while frame is not None:
        places.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    stacks[";".join(places)] += 1
    if time.monotonic() > saved + SAVED_EVERY:
        signal.setitimer(signal.ITIMER_PROF, 0)  # saving takes longer than the next look is off
        told = [f"{count} {stack}\n" for stack, count in list(stacks.items())]
        pathlib.Path(f"{FOLDER}/{os.getpid()}").write_text("".join(told))
        saved = time.monotonic()
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)


def start() -> None:
    stacks.clear()
    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)


if FOLDER:
    os.register_at_fork(after_in_child=start)
    start()
