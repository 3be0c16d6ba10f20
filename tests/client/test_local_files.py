"""A function that names a file of its author's machine is found before it is deployed."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_tools.archive import archived
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.local_files import named_in, opened

RATES = "rates.csv"
PATH = Path("rates.csv")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a file in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("rates.csv", "LICENSE"):
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


def by_text() -> Any:
    return open("rates.csv")  # noqa: PTH123


def by_global() -> Any:
    return open(RATES)  # noqa: PTH123


def by_path() -> Any:
    return PATH.read_text()


def by_default(path: str = "rates.csv") -> Any:
    return path


def by_named_default(*, path: str = "rates.csv") -> Any:
    return path


def inside() -> Any:
    return [open(each) for each in ("rates.csv", "none.csv")]  # noqa: PTH123


def nested() -> Any:
    return lambda: "rates.csv"


def by_closure() -> Callable[[], Any]:
    path = "rates.csv"
    return lambda: path


def harmless() -> Any:
    return "LICENSE", "folder.csv", "none.csv", "", "a\0.csv", "x" * 5000 + ".csv", 5, b"rates.csv"


HARMLESS: Any = harmless
NAMING: list[Any] = [
    by_text,
    by_global,
    by_path,
    by_default,
    by_named_default,
    inside,
    nested,
    by_closure(),
]


@pytest.mark.parametrize("function", NAMING, ids=range(len(NAMING)))
def test_a_file_that_is_there_is_named(function: Any) -> None:
    assert named_in(function) == {"rates.csv"}


def test_what_is_no_file_is_not(folder: Path) -> None:
    assert named_in(HARMLESS) == set()
    (folder / "rates.csv").unlink()
    assert named_in(NAMING[0]) == set()


def test_who_deploys_it_is_warned() -> None:
    rates = "rates.csv"

    def reads() -> str:
        return Path(rates).read_text()

    with pytest.warns(UserWarning, match="names") as said, archived(CustomQueryObject(reads)):
        pass
    assert [str(each.message) for each in said] == [
        "reads names 'rates.csv', a file of this machine that the server doesn't have: read it "
        "before, into a variable that the function uses, and what was read is deployed along."
    ]


def test_who_names_none_is_not_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with archived(CustomQueryObject(lambda: "LICENSE")):
            pass


def test_who_takes_an_open_file_along_is_warned(folder: Path) -> None:
    (folder / "secret.txt").write_text("hush")
    with (
        open("secret.txt") as secret,  # noqa: PTH123
        pytest.warns(UserWarning, match="open file") as said,
        archived(CustomQueryObject(lambda: secret.read(4))) as archive,
    ):
        assert b"hush" in archive.file.read()
    assert [str(each.message) for each in said] == [
        "<lambda> takes the open file 'secret.txt' along, and all that is in it is deployed: read "
        "before what the function needs of it, into a variable that the function uses, and only "
        "that is deployed along."
    ]


def test_a_standard_stream_is_no_open_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "log.txt").open("w") as stream, warnings.catch_warnings():
        monkeypatch.setattr("sys.stderr", stream)
        warnings.simplefilter("error")
        with archived(CustomQueryObject(lambda: stream.write(""))):
            pass
        monkeypatch.undo()


def test_a_text_in_memory_is_no_open_file() -> None:
    assert opened(io.TextIOWrapper(io.BytesIO())) is None
