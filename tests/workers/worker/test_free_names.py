"""Names that scripts use without importing them: differences 15."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import ScriptFailedError
from tabpy.tabpy_server.workers.worker import free_names, script
from tests.workers.worker.loading import WebProcess


def evaluate(folder: Path, text: str, *columns: Any) -> Any:
    data = {f"_arg{number}": column for number, column in enumerate(columns, 1)}
    body = json.dumps({"script": text, "data": data}).encode()
    return json.loads(script.evaluate(body, WebProcess(folder).worker()))


def used(text: str) -> set[str]:
    return set(free_names.used_by(compile(text, "script", "exec")))


@pytest.mark.parametrize(
    ("text", "returned"),
    [
        ("return json.dumps(_arg1)", "[1, 2]"),
        ("return timedelta(days=1).total_seconds()", 86400.0),
        ("return datetime.date(2026, 1, 31).isoformat()", "2026-01-31"),
        ("return len(str(uuid.uuid4()))", 36),
        ("return logging.INFO", 20),
        ("return [json.loads(each) for each in ['1']]", [1]),
        ("def f():\n    return lambda: json.dumps(_arg1)\nreturn f()()", "[1, 2]"),
        ("class A:\n    text = json.dumps(1)\nreturn A.text", "1"),
    ],
)
def test_scripts_find_what_tabpy_had_imported(tmp_path: Path, text: str, returned: Any) -> None:
    # differences 15
    assert evaluate(tmp_path, text, [1, 2]) == returned


@pytest.mark.parametrize(
    ("text", "returned"),
    [
        ("json = _arg1\nreturn json", [1]),
        ("import math as json\nreturn json.pi > 3", True),
        ("global json\njson = 3\nreturn json", 3),
        ("return [json for json in _arg1]", [1]),
    ],
)
def test_a_scripts_own_names_come_first(tmp_path: Path, text: str, returned: Any) -> None:
    # differences 15
    assert evaluate(tmp_path, text, [1]) == returned


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f(a):\n return json.dumps(a)", {"json"}),
        ("def f(a):\n return a.json()", set()),
        ("def f(pandas):\n return pandas", set()),
        ("def f():\n import pandas\n return pandas", set()),
        ("def f():\n import pandas\n return lambda: pandas", set()),
        ("def f():\n return [requests.get(each) for each in (pandas,)]", {"requests", "pandas"}),
    ],
)
def test_only_names_that_a_script_leaves_open_count(text: str, names: set[str]) -> None:
    # differences 15
    assert used(text) == names


def test_a_module_that_is_not_installed_stays_an_unknown_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # differences 15
    monkeypatch.setitem(free_names.FREE, "pyarrow", ("no_such_module", ""))
    with pytest.raises(ScriptFailedError, match="NameError : name 'pyarrow' is not defined"):
        evaluate(tmp_path, "return pyarrow.array(_arg1)", [1])


def test_one_that_is_installed_and_lacks_something_says_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # differences 15
    (tmp_path / "halfway.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(free_names.FREE, "pyarrow", ("halfway", ""))
    with pytest.raises(ScriptFailedError, match="No module named 'no_such_module'"):
        evaluate(tmp_path, "return pyarrow.array(_arg1)", [1])


def test_a_script_that_uses_none_of_them_imports_none() -> None:
    # differences 15
    code = """
import sys
from tabpy.tabpy_server.workers.worker import script
from tabpy.tabpy_server.workers.worker.models import Models
before = {"pandas", "requests", "pyarrow"} & sys.modules.keys()
body = b'{"script": "return _arg1", "data": {"_arg1": [1]}}'
assert script.evaluate(body, Models(None, {})) == b"[1]"
assert {"pandas", "requests", "pyarrow"} & sys.modules.keys() == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)
