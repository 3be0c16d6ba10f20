"""How much memory a process takes."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tabpy.tabpy_server import process_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_process_is_looked_up_by_its_number() -> None:
    assert process_memory.resident() > 1_000_000
    assert process_memory.resident(os.getpid()) > 1_000_000


def test_a_process_that_is_gone_takes_nothing() -> None:
    assert process_memory.resident(2**22 + 1) == 0  # above the highest number that Linux gives


# Eight threads that have memory at the same time, in how many arenas of glibc's.
COUNT_ARENAS = """
import ctypes, sys, threading
from tabpy.tabpy_server.process_memory import share_arenas
{share}
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
everybody = threading.Barrier(8)
def take():
    libc.malloc(10_000)
    everybody.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_info"),
    reason="only glibc has arenas",
)
def test_threads_share_the_places_that_memory_comes_from(tmp_path: Path) -> None:
    def arenas(share: str) -> int:
        told = tmp_path / "malloc.xml"
        environment = {**os.environ}
        environment.pop("MALLOC_ARENA_MAX", None)
        code = COUNT_ARENAS.format(share=share)
        subprocess.run([sys.executable, "-c", code, told], env=environment, check=True)
        return told.read_text().count("<heap nr=")

    assert arenas("") > 2
    assert arenas("share_arenas()") == 2
