"""The text of a function, taken from its archive without carrying it out."""

import pickle
import pickletools
import random
import sys
from pathlib import Path

import pytest

from tabpy.tabpy_server.functions import source_text
from tabpy.tabpy_tools.archive import archived
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.deploying import archive_of


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def double(values: list[float]) -> list[float]:
    # A remark, and a text: "ä 🔑".
    def twice(value: float) -> float:
        return 2 * value

    return [twice(each) for each in values]


def test_it_is_as_its_author_wrote_it(archive: Path) -> None:
    archive.write_bytes(archive_of(double))
    text = source_text.read(archive)
    assert text is not None
    assert text.startswith("def double(values: list[float]) -> list[float]:\n    # A remark")
    assert text.rstrip().endswith("return [twice(each) for each in values]")


def test_it_is_the_functions_and_not_that_of_one_it_calls(archive: Path) -> None:
    def outer(values: list[float]) -> list[float]:
        return double(values)

    archive.write_bytes(archive_of(outer))
    text = source_text.read(archive)
    assert text is not None
    assert text.startswith("def outer")


@pytest.mark.parametrize("word", [*source_text.MADE_BY, "bytecode"])
def test_what_its_author_says_of_it_is_not_taken_for_it(archive: Path, word: str) -> None:
    with archived(CustomQueryObject(double, sys.intern(word))) as made:
        archive.write_bytes(made.file.read())
    text = source_text.read(archive)
    assert text is not None
    assert text.startswith("def double")


def test_data_of_megabytes_are_not_read(archive: Path) -> None:
    data = bytes(3 << 20)

    def large() -> int:
        return len(data)

    archive.write_bytes(archive_of(large))
    text = source_text.read(archive)
    assert text is not None
    assert "len(data)" in text


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("it was carried out",)


@pytest.mark.parametrize("content", [b"", b"\x80", b"no pickle", pickle.dumps(Trap()), b"\xff" * 9])
def test_where_there_is_none_nothing_is_carried_out_and_nothing_raised(
    archive: Path, content: bytes
) -> None:
    archive.write_bytes(content)
    assert source_text.read(archive) is None


def test_whatever_bytes_an_archive_is_of_nothing_is_raised(archive: Path) -> None:
    chance = random.Random(1)
    operations = "".join(each.code for each in pickletools.opcodes).encode("latin-1")
    right = archive_of(double)
    for _ in range(1_000):
        content = bytearray(right[: chance.randrange(len(right))])
        for _ in range(4):
            at = chance.randrange(len(content) + 1)
            operation = chance.choice(operations)
            content[at:at] = bytes([operation]) + chance.choice([b"", b"12\n", b"'\\x'\n", b"\xff"])
        archive.write_bytes(content)
        source_text.read(archive)
