"""What is said in two places is the same in both: versions, dependencies, Pythons."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tabpy

ROOT = Path(__file__).parents[1]

CONFIGURATION: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIGURATION["project"]
EXTRAS = PROJECT["optional-dependencies"]


def read(*path: str) -> str:
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


def by_name(requirements: list[str]) -> dict[str, Requirement]:
    """Requirements by their name, without those that only name another extra of ours."""
    parsed = [Requirement(each) for each in requirements]
    return {canonicalize_name(each.name): each for each in parsed if each.name != PROJECT["name"]}


BOUNDS = by_name(PROJECT["dependencies"] + EXTRAS["science"] + EXTRAS["models"])
PINS = by_name(
    [line for line in read("requirements.txt").splitlines() if line[:1] not in {"", "#"}]
)
TOOLS = by_name(EXTRAS["test"] + EXTRAS["lint"] + EXTRAS["audit"])


# The version


def test_the_version_is_in_one_place() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", tabpy.__version__)
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    assert CONFIGURATION["tool"]["setuptools"]["dynamic"]["version"] == {
        "attr": "tabpy.__version__"
    }


def test_the_example_of_info_shows_the_version() -> None:
    assert re.findall(r'"server_version":"([^"]*)"', read("docs", "rest.md")) == [tabpy.__version__]


def test_the_changelog_leads_to_the_version() -> None:
    """At the top stands the version with its day, or what isn't released yet: then the version in
    the code is the coming one."""
    headings = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    released = [heading.partition(" - ")[0] for heading in headings if heading != "Unreleased"]
    assert "Unreleased" not in headings[1:]
    assert (headings[0] == "Unreleased") == (tabpy.__version__ not in released)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", each) for each in headings[1:])


# Dependencies


@pytest.mark.parametrize("name", BOUNDS)
def test_each_dependency_is_pinned_within_its_bounds(name: str) -> None:
    (pin,) = PINS[name].specifier
    assert BOUNDS[name].specifier.contains(pin.version)
    assert BOUNDS[name].extras == PINS[name].extras


def test_nothing_is_pinned_that_is_no_dependency() -> None:
    assert set(PINS) - set(BOUNDS) == set()


@pytest.mark.parametrize("name", sorted(TOOLS.keys() & PINS.keys()))
def test_what_the_tests_pin_too_is_pinned_to_the_same(name: str) -> None:
    assert TOOLS[name].specifier == PINS[name].specifier


# Pythons


def lowest_python() -> str:
    return str(PROJECT["requires-python"].removeprefix(">="))


def pythons() -> list[str]:
    """Those that the classifiers name, in their order."""
    prefix = "Programming Language :: Python :: 3."
    minors = [each.removeprefix(prefix) for each in PROJECT["classifiers"] if prefix in each]
    return [f"3.{minor}" for minor in minors]


def test_the_pythons_begin_with_the_lowest_and_have_no_gap() -> None:
    minors = [int(each.partition(".")[2]) for each in pythons()]
    assert pythons()[0] == lowest_python()
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_every_python_is_tested() -> None:
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", read(".github", "workflows", "tests.yml"), re.M)
    assert re.findall(r'"([^"]*)"', matrix) == pythons()


def test_the_tools_check_for_the_lowest_python() -> None:
    tools = CONFIGURATION["tool"]
    assert tools["mypy"]["python_version"] == lowest_python()
    assert tools["ruff"]["target-version"] == "py" + lowest_python().replace(".", "")


def test_the_bundle_runs_on_one_of_the_pythons() -> None:
    assert read(".python-version").strip() in pythons()
    assert re.findall(r"^FROM python:(\d+\.\d+)", read("Dockerfile"), re.M) == [
        read(".python-version").strip()
    ]


@pytest.mark.parametrize("document", ["README.md", "docs/deploying.md", "requirements.txt"])
def test_the_documents_name_the_first_and_the_last_python(document: str) -> None:
    ranges = set(re.findall(r"Python (\d\.\d+ to \d\.\d+)", read(document)))
    assert ranges == {f"{pythons()[0]} to {pythons()[-1]}"}
