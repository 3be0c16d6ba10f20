"""The README and docs/client.md are true: their examples run from top to bottom, one document after
the other on the same server, and give what is shown there."""

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.running import PASSWORD, USER, Server

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "README.md", ROOT / "docs" / "client.md"]
ADDRESS = "http://localhost:9004"  # the guide's
SECONDS = 120  # for one example, imports included
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n((?:\n| {4}[^\n]*\n)*)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A block of code, and what is shown below it: "" where nothing is."""

    code: str
    shown: str


def examples() -> list[Example]:
    return [
        Example(code, "\n".join(line[4:] for line in shown.splitlines()).strip())
        for guide in GUIDES
        for code, shown in EXAMPLE.findall(guide.read_text(encoding="utf-8"))
    ]


def in_a_notebook(codes: Sequence[str], server: Server) -> Iterator[str]:
    """Run them as the cells of one notebook; yield what each shows."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(code) for code in codes]
    runner = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3")
    runner.execute(env=environment(server), cwd=str(server.folder))
    for cell in notebook.cells:
        yield "".join(map(text_of, cell.outputs))


def text_of(output: Any) -> str:
    if output.output_type == "stream":
        assert output.name == "stdout", output.text
        return str(output.text)
    assert output.output_type == "execute_result"
    if "at http" in output.data["text/plain"]:
        assert "<table>" in output.data["text/html"]
    return str(output.data["text/plain"])


def in_plain_python(codes: Sequence[str], server: Server) -> Iterator[str]:
    """Run them as a notebook would, in this process."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment(server).items():
            patch.setenv(key, value)
        for code in codes:
            tree = ast.parse(code)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                run(compile_(tree, "exec"), names)
                if isinstance(last, ast.Expr):
                    value = run(compile_(ast.Expression(last.value), "eval"), names)
                    if value is not None:
                        print(repr(value))
            yield printed.getvalue()


def compile_(tree: ast.Module | ast.Expression, mode: str) -> Any:
    return compile(tree, "<example>", mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def run(code: Any, names: dict[str, Any]) -> Any:
    result = eval(code, names)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def environment(server: Server) -> dict[str, str]:
    return {
        **server.environment,
        "PYTHONPATH": str(ROOT),
        "TABPY_URL": f"http://127.0.0.1:{server.port}",
        "TABPY_USERNAME": USER,
        "TABPY_PASSWORD": PASSWORD,
    }


def comparable(text: str) -> str:
    """A text without what differs between runs and between ways to show it."""
    text = re.sub(r"'uuid': '[0-9a-f-]+'", "'uuid': '…'", text)
    text = re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.4f}", text)
    return re.sub(r"\s+", "", text)


def typed(code: str, server: Server) -> str:
    """An example with this server's address, user and password in the places of `make run`'s."""
    return (
        code.replace(f'"{ADDRESS}"', f'"http://127.0.0.1:{server.port}"')
        .replace('"tabpy", getpass()', f"{USER!r}, {PASSWORD!r}")
        .replace("from getpass import getpass\n", "")
    )


def calculations() -> list[str]:
    """What the README has one type into Tableau."""
    text = GUIDES[0].read_text(encoding="utf-8")
    return re.findall(r"^    ((?:SCRIPT|MODEL_EXTENSION)_.*)$", text, re.MULTILINE)


def test_the_readmes_calculations_give_the_same(server: Server) -> None:
    script, model = calculations()
    code = re.findall(r'^SCRIPT_REAL\("([^"]*)", SUM\(\[Profit\]\), SUM\(\[Sales\]\)\)$', script)
    profit, sales = [41.9, 219.6, -6.2], [262.0, 731.9, 14.6]
    assert server.evaluate(code[0], profit, sales).json == [0.16, 0.3, -0.425]

    names: dict[str, Any] = {}
    definition = re.search(
        r"^def profit_ratio.*?\n\n", examples()[0].code, re.MULTILINE | re.DOTALL
    )
    assert definition is not None
    exec(definition[0], names)
    assert names["profit_ratio"](profit=profit, sales=sales) == [0.16, 0.3, -0.425]
    shown = examples()[0].shown.splitlines()[1].strip()
    assert model == shown.replace("[profit]", "[Profit]").replace("[sales]", "[Sales]")


def test_the_guide_has_examples() -> None:
    assert len(examples()) > 15
    assert sum(bool(each.shown) for each in examples()) > 10


@pytest.mark.filterwarnings("default")  # those of notebooks' own packages aren't ours
@pytest.mark.parametrize("runner", [in_a_notebook, in_plain_python])
def test_its_examples_run_and_give_what_is_shown(
    start: Callable[..., Server],
    runner: Callable[[Sequence[str], Server], Iterator[str]],
) -> None:
    pytest.importorskip("sklearn", reason="the guide's examples fit models")
    if runner is in_a_notebook and not all(
        map(importlib.util.find_spec, ("nbclient", "ipykernel"))
    ):
        pytest.skip("nbclient and ipykernel aren't installed")
    server = start({"TABPY_PRELOAD": "numpy,pandas"})
    outputs = runner([typed(each.code, server) for each in examples()], server)
    for example, output in zip(examples(), outputs, strict=True):
        text = output.replace(f"http://127.0.0.1:{server.port}", ADDRESS)
        if example.shown:
            assert comparable(text) == comparable(example.shown), example.code
