"""The text of a function is found, and it counts only if it gives the very code there is."""

import linecache
import random
import sys
import sysconfig
import types
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_tools.function_text import FunctionText, rebuilt
from tabpy.tabpy_tools.text_search import TextSearch, essence


def text_of(function: Callable[..., Any]) -> FunctionText | None:
    return TextSearch().text_of(function.__code__)


def known(function: Callable[..., Any]) -> FunctionText:
    text = text_of(function)
    assert text is not None
    return text


Write = Callable[[str], types.ModuleType]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module, another text each time, and imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "prices_of_ours.py"

    def write_module(text: str) -> types.ModuleType:
        file.write_text(text)
        sys.modules.pop(file.stem, None)
        return import_module(file.stem)

    yield write_module
    sys.modules.pop(file.stem, None)


def test_a_function_is_its_lines_and_what_they_do_not_say(write: Write) -> None:
    module = write(
        "import math\n\n\nclass A:\n    @staticmethod\n    def f(x):\n        return x\n"
    )
    assert known(module.A.f) == FunctionText(
        text="    @staticmethod\n    def f(x):\n        return x",
        line=5,
        column=0,
        place="prices_of_ours.py",
        name="f",
        qualified_name="A.f",
        free_variables=(),
        class_name="A",
        nested=False,
        imports=(),
        futures=(),
    )


def test_a_lambda_is_its_expression_alone(write: Write) -> None:
    module = write("é = ['é', lambda x: x, lambda x: x + 1][2]\n")
    text = known(module.é)
    assert (text.text, text.line, text.column) == ("lambda x: x + 1", 1, 25)


def test_what_the_file_imports_and_is_used_goes_along(write: Write) -> None:
    module = write("import math, os\ndef f(x):\n    return math.sqrt(x)\n")
    assert known(module.f).imports == ("math",)


def test_a_decorator_that_begins_on_a_line_before(write: Write) -> None:
    module = write("@(\n    lambda f: f\n)\ndef f():\n    return 1\n")
    assert known(module.f).text.startswith("@(\n")


def test_futures_go_along(write: Write) -> None:
    module = write("from __future__ import annotations\ndef f(x: int) -> Nothing: return x\n")
    assert known(module.f).futures == ("annotations",)


def test_a_file_that_was_edited_since_has_no_text(write: Write, tmp_path: Path) -> None:
    module = write("def f():\n    return 1\n")
    (tmp_path / "prices_of_ours.py").write_text("def f():\n    return 2\n")
    assert text_of(module.f) is None


def test_what_python_remembers_of_a_file_counts_though_it_was_edited(
    write: Write, tmp_path: Path
) -> None:
    module = write("def f():\n    return 1\n")
    linecache.getlines(str(module.__file__))
    (tmp_path / "prices_of_ours.py").write_text("def f():\n    return 2222\n")
    assert "return 1" in known(module.f).text


def test_a_module_that_was_edited_and_loaded_again_has_its_new_text(
    write: Write, tmp_path: Path
) -> None:
    module = write("def f():\n    return 1\n")
    linecache.getlines(str(module.__file__))
    (tmp_path / "prices_of_ours.py").write_text("def f():\n    return 2222\n")
    assert "return 2222" in known(reload(module).f).text


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("1", "True"),
        ("1", "1.0"),
        ("0.0", "-0.0"),
        ("'a'", "b'a'"),
        ("(1, 2)", "(1, 2.0)"),
        ("x in {1, 2}", "x in {1, 2.0}"),
        ("0j", "-0j"),
        ("x", "y"),
        ("x.real", "x.imag"),
        ("lambda: 1", "lambda: True"),
        ("f'{x}'", "f'{x!r}'"),
    ],
)
def test_the_least_difference_counts(write: Write, tmp_path: Path, was: str, now: str) -> None:
    module = write(f"y = 1\ndef f(x):\n    return {was}\n")
    (tmp_path / "prices_of_ours.py").write_text(f"y = 1\ndef f(x):\n    return {now}\n")
    assert text_of(module.f) is None


def test_another_line_counts_too(write: Write, tmp_path: Path) -> None:
    module = write("def f(x):\n    return x\n")
    (tmp_path / "prices_of_ours.py").write_text("def f(x):\n\n    return x\n")
    assert text_of(module.f) is None


@pytest.mark.parametrize("text", ["def f(:", "", "\0", "(" * 500], ids=["broken", "", "0", "deep"])
def test_a_file_that_is_no_python_any_more_has_no_text(
    write: Write, tmp_path: Path, text: str
) -> None:
    module = write("def f():\n    return 1\n")
    (tmp_path / "prices_of_ours.py").write_text(text)
    assert text_of(module.f) is None


def test_a_cell_is_called_by_its_number() -> None:
    name = "<ipython-input-12-0123456789ab>"
    cell = "def f(x):\n    return x\n"
    linecache.cache[name] = len(cell), None, cell.splitlines(keepends=True), name
    names: dict[str, Any] = {}
    exec(compile(cell, name, "exec"), names)
    try:
        assert known(names["f"]).place == "cell 12"
    finally:
        del linecache.cache[name]


def test_functions_of_the_standard_library_are_found_and_made_anew_as_they_are() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(each for each in folder.glob("*.py") if each.name != "antigravity.py")
    count = 0
    for file in random.Random(7).sample(files, 25):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
        search = TextSearch()
        for code in functions_in(module):
            text = search.text_of(code)
            assert text is not None, code
            assert essence(rebuilt(*text)) == essence(code), code
            count += 1
    assert count > 300


def functions_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """What a function can be made of: not class bodies, comprehensions and the like."""
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            optimized_with_own_locals = each.co_flags & 3 == 3
            if optimized_with_own_locals and (each.co_name[0] != "<" or each.co_name == "<lambda>"):
                yield each
            yield from functions_in(each)


def test_functions_whose_statements_share_a_line(write: Write) -> None:
    module = write("a = [\n    1,\n    lambda: 1]; b = lambda: 2; c = lambda: 3\nd = lambda: 4\n")
    functions = [module.a[1], module.b, module.c, module.d]
    assert [known(each).text for each in functions] == [f"lambda: {n}" for n in (1, 2, 3, 4)]
