"""An archive is tried, and what came with it is read, in a worker that is thrown away."""

import pickle
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tabpy.tabpy_server.errors import InvalidInputError, NotLoadableError
from tabpy.tabpy_server.json_codec import dumps, loads
from tabpy.tabpy_server.workers.protocol import CheckArchive
from tabpy.tabpy_server.workers.worker.archive_check import check
from tests.deploying import archive_of

numpy_path = str(Path(np.__file__).parent)
TASK = CheckArchive("", "f", [], "", {})


@pytest.fixture
def task_of(tmp_path: Path) -> Callable[[bytes], CheckArchive]:
    def make(data: bytes) -> CheckArchive:
        file = tmp_path / "archive"
        file.write_bytes(data)
        return replace(TASK, path=str(file))

    return make


def found(task: CheckArchive, schema: str = "") -> Any:
    return loads(check(task, dumps(schema) if schema else b""))


def test_an_archive_that_can_be_loaded(task_of: Callable[[bytes], CheckArchive]) -> None:
    assert found(task_of(archive_of(lambda: 1))) == {"remarks": [], "schema": None}


def test_one_that_cannot_says_why_and_with_which_python_it_was_made(
    task_of: Callable[[bytes], CheckArchive],
) -> None:
    task = task_of(b"nonsense")
    for python in ("", platform.python_version()):
        with pytest.raises(NotLoadableError, match="damaged, or is no pickle") as raised:
            check(replace(task, python=python), b"")
        assert "was made with" not in raised.value.why
    with pytest.raises(NotLoadableError) as raised:
        check(replace(task, python="3.2.1"), b"")
    assert raised.value.why.endswith(
        f" It was made with Python 3.2.1; this server runs {platform.python_version()}."
    )


def test_one_that_cannot_names_the_packages_whose_versions_differ(
    task_of: Callable[[bytes], CheckArchive],
) -> None:
    task = replace(task_of(b"cnumpy.core\nno\n."), packages={"orjson": orjson.__version__})
    with pytest.raises(NotLoadableError) as raised:
        check(task, b"")
    assert "It was made with another version of what it needs (" in raised.value.why
    assert raised.value.why.endswith(").")
    assert numpy_path not in raised.value.why

    with pytest.raises(NotLoadableError) as raised:
        check(replace(task, packages={"numpy": "1.0", "no-such-package": "1"}), b"")
    assert raised.value.why.endswith(
        f"). It was made with numpy 1.0; this server has {np.__version__}."
    )


def test_what_it_needs_is_looked_for_before_it_is_loaded(
    task_of: Callable[[bytes], CheckArchive],
) -> None:
    task = replace(task_of(b"nonsense"), requirements=["no-such-package>=2", "tornado<1", "orjson"])
    with pytest.raises(NotLoadableError) as raised:
        check(task, b"")
    assert raised.value.why.startswith(
        "It needs no-such-package>=2, which this server doesn't have; tornado<1, and this server "
        "has tornado "
    )


@pytest.mark.parametrize(
    "requirement",
    [
        "not a requirement",
        "",
        "numpy; python_version ~= '3'",
        "numpy; 'a' in extras",
        "numpy; " + "(" * 5000 + "os_name == 'a'" + ")" * 5000,
    ],
)
def test_what_is_no_requirement_is_called_so(
    task_of: Callable[[bytes], CheckArchive], requirement: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        check(replace(task_of(b""), requirements=[requirement]), b"")
    assert raised.value.message == f"'{requirement[:100]}' is no requirement."


def test_other_versions_of_packages_are_remarks(task_of: Callable[[bytes], CheckArchive]) -> None:
    packages = {"numpy": "1.0", "no-such-package": "1", "": "1", "\ud800": "1", "a/b\0": "1"}
    task = replace(task_of(archive_of(lambda: 1)), packages=packages)
    assert found(task)["remarks"] == [
        f"numpy is {np.__version__} on the server and 1.0 where it was made"
    ]


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("{'a': [1, None, True], 'b': {1: (2, 3)}}", {"a": [1, None, True], "b": {"1": [2, 3]}}),
        (f"{{'a': {2**70}, 'b': 1e999}}", {"a": 2**70, "b": None}),
        ('{"a": 1}', {"a": 1}),
        ("{}", {}),
        ("no object", None),
        ("lone \ud800", None),
    ],
)
def test_the_object_in_a_text_of_a_schema(text: str, schema: Any) -> None:
    assert found(TASK, text) == {"remarks": [], "schema": schema}


def test_an_archive_and_its_schema_are_read_together(
    task_of: Callable[[bytes], CheckArchive],
) -> None:
    assert found(task_of(archive_of(lambda: 1)), "{'a': 1}")["schema"] == {"a": 1}
    with pytest.raises(NotLoadableError, match="type dict"):
        check(task_of(pickle.dumps({})), dumps("{'a': 1}"))
