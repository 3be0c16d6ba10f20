"""The functions of `models/` become archives, and what is wrong with one costs no other."""

import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tabpy.tabpy_server.workers.protocol import Collect
from tabpy.tabpy_server.workers.worker.collect import collect

HEAD = "from tabpy.tabpy_tools.endpoint import endpoint\n"
GOOD = HEAD + "@endpoint\ndef good(x):\n    'Twice.'\n    return x * 2\n"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A worker is thrown away after this; the tests' process isn't."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [each for each in sys.modules if each.startswith(("mine_", "broken"))]:
        del sys.modules[name]


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    models, own = tmp_path / "models", tmp_path / "own"
    models.mkdir()
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))

    def run(**modules: str) -> Any:
        for name, text in modules.items():
            (models / f"{name}.py").write_text(text)
        return orjson.loads(collect(Collect(str(models))))

    return run


def test_a_marked_function_becomes_an_archive_with_what_is_said_of_it(
    collected: Callable[..., Any],
) -> None:
    found = collected(mine_a=GOOD, mine_b="from mine_a import good\nunmarked = len\n")
    assert found["problems"] == []
    (function,) = found["functions"]
    assert pickle.loads(Path(function["archive"]).read_bytes()).query(3) == 6
    assert function["origin"].startswith("models/mine_a.py: good: ")
    assert {key: function[key] for key in ("name", "file", "description", "docstring")} == {
        "name": "good",
        "file": "mine_a.py",
        "description": "Twice.",
        "docstring": "Twice.",
    }
    assert (function["schema"], function["is_public"], function["pure"]) == (None, False, False)
    assert function["python"] == ".".join(map(str, sys.version_info[:3]))


WRONG = {
    "a": ("schema={'a': object()}", "its schema has no form in JSON: use dicts, lists, "),
    "b": ("description=object()", "its description has no form in JSON"),
    "c": ("is_public=object()", "its is_public has no form in JSON"),
    "d": ("schema=LOOP", "its schema has no form in JSON"),
    "e": (
        "schema={'a': LOCK}",
        "wrong_e can't be deployed: the item 'a' of the attribute 'schema'",
    ),
}


def test_wrong_functions_are_named_with_their_file_and_cost_no_other(
    collected: Callable[..., Any],
) -> None:
    text = HEAD + "import threading\nLOCK = threading.Lock()\nLOOP = []\nLOOP.append(LOOP)\n"
    for name, (marks, _) in WRONG.items():
        text += f"@endpoint(name='{name}', {marks})\ndef wrong_{name}():\n    pass\n"
    found = collected(mine_c=text + GOOD)
    assert [each["name"] for each in found["functions"]] == ["good"]
    for said, (name, (_, problem)) in zip(found["problems"], WRONG.items(), strict=True):
        assert said.startswith(f"models/mine_c.py: {name}: TypeError: {problem}")


def test_what_json_carries_after_all_is_no_problem(collected: Callable[..., Any]) -> None:
    text = HEAD + (
        "import numpy as np\n"
        "@endpoint(description=5, schema={'a': np.float64(1.5), 'b': (1, 2), 3: float('nan')})\n"
        "def f():\n    pass\n"
    )
    found = collected(mine_e=text)
    assert found["problems"] == []
    (function,) = found["functions"]
    assert function["schema"] == {"a": 1.5, "b": [1, 2], "3": None}
    assert function["description"] == 5, "the web process says what is wrong with that"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("def", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (HEAD + "@endpoint(name='a/b')\ndef f(): pass", "ValueError: 'a/b' can't name an"),
    ],
)
def test_a_module_that_cannot_be_imported_costs_no_other(
    collected: Callable[..., Any], broken: str, reason: str
) -> None:
    found = collected(broken=broken, mine_f=GOOD)
    assert [each["name"] for each in found["functions"]] == ["good"]
    (said,) = found["problems"]
    assert said.startswith(f"models/broken.py: {reason}")


def test_the_origin_changes_with_the_text(collected: Callable[..., Any]) -> None:
    origins = []
    for text in (GOOD, GOOD, GOOD + "\n"):
        origins.append(collected(mine_g=text)["functions"][0]["origin"])
    assert origins[0] == origins[1] != origins[2]
