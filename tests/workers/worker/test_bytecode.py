"""Bytecode tells which Python compiled it, before anything is made of it."""

import sys
import sysconfig
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tabpy.tabpy_server.workers.worker.bytecode import origin

OURS = "{}.{}".format(*sys.version_info)


def parts_of(code: types.CodeType) -> tuple[Any, ...]:
    """As cloudpickle takes code apart."""
    _, parts = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    return tuple(parts)


def with_code(code: bytes) -> tuple[Any, ...]:
    parts = parts_of((lambda: 1).__code__)
    return *parts[:6], code, *parts[7:]


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each
            yield from codes(each)


def test_all_that_this_python_compiles_is_its_own() -> None:
    count = 0
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[::4]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
        for code in codes(module):
            assert origin(parts_of(code)) == "", code
            count += 1
    assert count > 1000


def closure() -> Callable[[], Any]:
    x = 1
    return lambda: (yield x)


@pytest.mark.parametrize("function", [lambda: 1, closure(), lambda: [x + x for x in "a"]])
def test_a_closure_and_a_generator_begin_otherwise(function: Callable[[], Any]) -> None:
    assert origin(parts_of(function.__code__)) == ""


# `lambda x: x.a`, and `lambda: (yield x)` over a free variable, as each compiles them.
ELSEWHERE = {
    "3.11": ["97007c006a00" + "0000" * 4 + "5300", "95014b00010097008900560097015300"],
    "3.12": ["97007c006a00" + "0000" * 9 + "5300", "95014b00010097008900960097015300"],
    "3.13": ["950055005200" + "0000" * 9 + "2400", "3e012300200095005400760095012400"],
    "3.14": ["8000"],
}


@pytest.mark.parametrize("version", [each for each in ELSEWHERE if each != OURS])
def test_what_others_compile_is_called_theirs(version: str) -> None:
    looks_alike = {version, OURS} == {"3.11", "3.12"}  # the second one's YIELD_VALUE alone differs
    for code in ELSEWHERE[version][: 1 if looks_alike else 2]:
        assert version in origin(with_code(bytes.fromhex(code)))


def test_code_with_fewer_parts_is_older() -> None:
    assert origin(parts_of((lambda: 1).__code__)[:16]) == "3.10 or older"
    assert origin(()) == "3.10 or older"


@pytest.mark.parametrize("code", [b"", b"\xff", b"\xff\xff\xff\xff", b"\x00" * 10])
def test_what_is_no_bytecode_is_of_another(code: bytes) -> None:
    assert origin(with_code(code)) == "of another version"


def test_what_is_in_place_of_bytecode_is_of_another() -> None:
    parts = parts_of((lambda: 1).__code__)
    assert origin((*parts[:6], "code", *parts[7:])) == "of another version"
    assert origin((*parts, 1)) == "of another version"


def test_an_instruction_that_lacks_its_caches_is_of_another() -> None:
    code = (lambda x: x.a).__code__.co_code
    assert origin(with_code(code)) == ""
    assert origin(with_code(code[:6] + code[-2:])) != ""
