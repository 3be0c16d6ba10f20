"""How much memory a process takes."""

import os
import sys

import pytest

from tabpy.tabpy_server import process_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_process_is_looked_up_by_its_number() -> None:
    assert process_memory.resident() > 1_000_000
    assert process_memory.resident(os.getpid()) > 1_000_000


def test_a_process_that_is_gone_takes_nothing() -> None:
    assert process_memory.resident(2**22 + 1) == 0  # above the highest number that Linux gives
