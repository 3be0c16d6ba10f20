"""The numbers of system calls are those that the C headers of this machine give."""

import re
from pathlib import Path

import pytest

from tabpy.tabpy_server.workers.worker import seccomp
from tabpy.tabpy_server.workers.worker.system_calls import MACHINES, NUMBERS, number

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
DEFINED = re.compile(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", re.MULTILINE)
SAME_EVERYWHERE = 424  # from this number on
WITHOUT_A_CALL = {"iopl", "ioperm", "modify_ldt", "chmod", "chown", "lchown"}  # aarch64


@pytest.mark.parametrize("machine", MACHINES)
def test_each_number_is_the_one_in_the_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    theirs = {name: int(digits) for name, digits in DEFINED.findall(header.read_text())}
    known = {name for name in NUMBERS if name in theirs}
    assert len(known) > 70  # the header was understood; it may be older than the newest calls
    assert {name: number(name, machine) for name in known} == {name: theirs[name] for name in known}
    # What an old header doesn't know yet must at least be new.
    assert all(
        (number(name, machine) or 10_000) >= SAME_EVERYWHERE for name in NUMBERS.keys() - known
    )


def test_new_calls_have_the_same_number_everywhere() -> None:
    for x86_64, aarch64 in NUMBERS.values():
        assert x86_64 is not None
        if max(x86_64, aarch64 or 0) >= SAME_EVERYWHERE:
            assert x86_64 == aarch64


def test_no_two_calls_have_one_number() -> None:
    for machine in MACHINES:
        numbers = [number(name, machine) for name in NUMBERS]
        there = [each for each in numbers if each is not None]
        assert len(there) == len(set(there))


def test_aarch64_lacks_the_old_calls() -> None:
    assert {name for name in NUMBERS if number(name, "aarch64") is None} == WITHOUT_A_CALL


def test_the_filter_knows_the_machines_that_have_numbers() -> None:
    assert tuple(seccomp.AUDIT_MACHINE) == MACHINES
