"""What is said in two places is the same in both: versions, dependencies, Pythons."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tabpy
from tabpy.commands import server_packages

ROOT = Path(__file__).parents[1]

CONFIGURATION: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIGURATION["project"]
EXTRAS = PROJECT["optional-dependencies"]


def read(*path: str) -> str:
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


def by_name(requirements: list[str], python: str = "3.13") -> dict[str, Requirement]:
    """Requirements that count on a Python, by their name, without other extras of ours."""
    parsed = [Requirement(each) for each in requirements]
    return {
        canonicalize_name(each.name): each
        for each in parsed
        if each.name != PROJECT["name"] and counts(each, {"python_version": python})
    }


def counts(requirement: Requirement, environment: Mapping[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(dict(environment))


CLIENT = by_name(PROJECT["dependencies"])
SERVER = by_name(EXTRAS["server"])
BOUNDS = CLIENT | SERVER | by_name(EXTRAS["science"] + EXTRAS["models"])
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


def test_the_pins_are_all_that_a_server_needs() -> None:
    assert CLIENT.keys() | SERVER.keys() <= PINS.keys()


def test_nothing_is_pinned_that_is_no_dependency() -> None:
    assert set(PINS) - set(BOUNDS) == set()


@pytest.mark.parametrize("name", sorted(TOOLS.keys() & PINS.keys()))
def test_what_the_tests_pin_too_is_pinned_to_the_same(name: str) -> None:
    assert TOOLS[name].specifier == PINS[name].specifier


def test_a_notebook_gets_nothing_that_only_the_server_needs() -> None:
    assert CLIENT.keys() & SERVER.keys() == set()


def test_the_server_asks_for_the_packages_that_its_extra_brings() -> None:
    asked = {canonicalize_name(each) for each in server_packages.PACKAGES.values()}
    assert asked == SERVER.keys()


# Pythons


def pythons() -> list[str]:
    """The client's: those that the classifiers name, in their order."""
    prefix = "Programming Language :: Python :: 3."
    minors = [each.removeprefix(prefix) for each in PROJECT["classifiers"] if prefix in each]
    return [f"3.{minor}" for minor in minors]


LOWEST_OF_THE_SERVER = ".".join(map(str, server_packages.LOWEST_PYTHON))


def servers_pythons() -> list[str]:
    return pythons()[pythons().index(LOWEST_OF_THE_SERVER) :]


def test_the_pythons_begin_with_the_lowest_and_have_no_gap() -> None:
    minors = [int(each.partition(".")[2]) for each in pythons()]
    assert PROJECT["requires-python"] == f">={pythons()[0]}"
    assert minors == list(range(minors[0], minors[-1] + 1))


@pytest.mark.parametrize("python", servers_pythons())
def test_a_notebook_gets_the_versions_that_a_server_has(python: str) -> None:
    extras = by_name(EXTRAS["science"] + EXTRAS["models"], python)
    assert {"numpy", "pandas", "scipy", "scikit-learn"} <= extras.keys()
    assert {name: each.specifier for name, each in extras.items()} == {
        name: PINS[name].specifier for name in extras
    }


def test_a_notebook_on_a_python_that_no_server_has_gets_the_same_packages() -> None:
    for python in set(pythons()) - set(servers_pythons()):
        assert by_name(EXTRAS["science"], python).keys() == by_name(EXTRAS["science"]).keys()


def test_every_python_is_tested() -> None:
    workflow = read(".github", "workflows", "tests.yml")
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.M)
    assert re.findall(r'"([^"]*)"', matrix) == servers_pythons()
    beside = re.findall(r"^ +python-version: \|\n +(\S+)\n +\$", workflow, re.M)
    assert beside == [each for each in pythons() if each not in servers_pythons()]


def test_the_tools_check_for_the_lowest_python() -> None:
    tools = CONFIGURATION["tool"]
    assert tools["mypy"]["python_version"] == LOWEST_OF_THE_SERVER
    assert tools["ruff"]["target-version"] == "py" + LOWEST_OF_THE_SERVER.replace(".", "")
    assert set(tools["ruff"]["per-file-target-version"].values()) == {
        "py" + pythons()[0].replace(".", "")
    }


def test_make_asks_for_the_servers_lowest_python() -> None:
    makefile = read("Makefile")
    asked = re.findall(r"sys\.version_info >= \((\d+), (\d+)\)", makefile)
    assert [".".join(each) for each in asked] == [LOWEST_OF_THE_SERVER]
    assert f"need Python {LOWEST_OF_THE_SERVER} or later" in makefile
    assert re.findall(r"mypy --python-version (\S+)", makefile) == [pythons()[0]]


def test_the_bundle_runs_on_one_of_the_pythons() -> None:
    assert read(".python-version").strip() in servers_pythons()
    assert re.findall(r"^FROM python:(\d+\.\d+)", read("Dockerfile"), re.M) == [
        read(".python-version").strip()
    ]


@pytest.mark.parametrize("document", ["docs/deploying.md", "requirements.txt"])
def test_the_documents_name_the_first_and_the_last_python(document: str) -> None:
    assert ranges(document) == {f"{servers_pythons()[0]} to {pythons()[-1]}"}


def test_the_readme_names_those_of_server_and_client() -> None:
    lowest = (servers_pythons()[0], pythons()[0])
    assert ranges("README.md") == {f"{each} to {pythons()[-1]}" for each in lowest}


def ranges(document: str) -> set[str]:
    return set(re.findall(r"Python (\d\.\d+ to \d\.\d+)", read(document)))
