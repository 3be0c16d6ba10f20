"""Whatever the package imports, pyproject.toml requires."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = metadata.packages_distributions()
FILES = sorted((ROOT / "tabpy").rglob("*.py"))


def name_of(requirement: str) -> str:
    """The name, in its normal form, of what a line requires."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return normal(found[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_by(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_imported_is_required(file: Path) -> None:
    required = {name_of(each) for each in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    if "models" in file.parts or file.stem == "estimator":  # the predeployed functions, and models
        required |= {name_of(each) for each in (*extras["models"], *extras["science"])}
    ours = {"tabpy", "annotationlib", *sys.stdlib_module_names}  # which came with Python 3.14
    strangers = set(imported_by(file)) - ours
    known = {
        module: {normal(each) for each in DISTRIBUTIONS.get(module, [module])}
        for module in strangers
    }
    assert {module for module, names in known.items() if not names & required} == set()
