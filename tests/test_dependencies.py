"""Whatever the package imports, pyproject.toml requires: the client's packages, or the server's."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.light import LIGHT, SERVER_COMMANDS
from tests.test_layers import MODULES

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DISTRIBUTIONS = metadata.packages_distributions()
FILES = sorted((ROOT / "tabpy").rglob("*.py"))
# Imported in the flight process alone.
FLIGHT = {ROOT / "tabpy" / "tabpy_server" / "flight" / name for name in ("ipc.py", "service.py")}
# Modules of Python itself that the one that runs the tests may be too old for.
OF_LATER_PYTHONS = {"annotationlib"}


def names_of(requirements: Iterable[str]) -> set[str]:
    return {name_of(each) for each in requirements}


def name_of(requirement: str) -> str:
    """The name, in its normal form, of what a line requires."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return normal(found[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_by(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def imported_at_the_top(tree: ast.AST) -> Iterator[str]:
    """What is imported with the module, and not when a function is called."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported_by(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported_at_the_top(node)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_imported_is_required(file: Path) -> None:
    required = names_of(PROJECT["dependencies"])
    if file not in {MODULES[module] for module in LIGHT}:
        required |= names_of(EXTRAS["server"])
    if file in FLIGHT:
        required |= names_of(EXTRAS["flight"])
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert unmet(imported_by(tree), required | optional(file)) == set()
    assert unmet(imported_at_the_top(tree), required) == set()


def optional(file: Path) -> set[str]:
    """What a function may import when it's called, as its caller has it."""
    if file.parent.name == "ray":
        return names_of(EXTRAS["ray"])
    if "models" in file.parts:  # the predeployed functions
        return names_of(EXTRAS["models"] + EXTRAS["science"])
    if "access" in file.parts:  # tokens, where they are taken
        return {*names_of(EXTRAS["oauth"]), "cryptography"}
    if file.parts[-2:] == ("worker", "tables.py"):  # where the server has Flight
        return names_of(EXTRAS["flight"] + EXTRAS["science"])
    asks_for_numpy = "tabpy_tools" in file.parts or file.name == "numpy_arguments.py"
    extras = EXTRAS["science"] if asks_for_numpy else []
    return names_of(extras + (EXTRAS["uvloop"] if file.name == "event_loop.py" else []))


def unmet(modules: Iterable[str], required: set[str]) -> set[str]:
    """The modules that are neither ours, nor Python's, nor of a distribution that is required."""
    strangers = set(modules) - {"tabpy", *sys.stdlib_module_names, *OF_LATER_PYTHONS}
    return {
        module
        for module in strangers
        if not required & {normal(each) for each in DISTRIBUTIONS.get(module, [module])}
    }


def test_the_servers_commands_are_the_only_ones_that_need_the_extra() -> None:
    scripts = {target.partition(":")[0] for target in PROJECT["scripts"].values()}
    assert scripts > SERVER_COMMANDS
    assert scripts - SERVER_COMMANDS <= LIGHT


def test_what_a_stored_function_names_needs_nothing_but_python() -> None:
    """An archive of TabPy's client or of ours is loaded by these two modules."""
    for name in ("query_object", "custom_query_object"):
        file = MODULES[f"tabpy.tabpy_tools.{name}"]
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert unmet(imported_at_the_top(tree), set()) == set()
