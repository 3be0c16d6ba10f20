"""What scripts can import, as a list and for pip."""

import platform
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tabpy.tabpy_server.web.handlers.packages import constraints
from tests.web.harness import Web


def test_the_list_has_each_package_with_its_version(web: Web) -> None:
    told = web.request("GET", "/packages").json
    assert told["python"] == platform.python_version()
    assert told["packages"]["numpy"] == metadata.version("numpy")


def test_pip_reads_the_same_as_constraints(web: Web) -> None:
    reply = web.request("GET", "/packages/constraints.txt")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    first, *lines = reply.body.decode().splitlines()
    assert first == f"# Python {platform.python_version()}"
    told = {line.name: line for line in map(Requirement, lines)}
    assert str(told["numpy"]) == f"numpy=={metadata.version('numpy')}"
    assert told.keys() <= web.request("GET", "/packages").json["packages"].keys()


def test_both_need_credentials(web: Web) -> None:
    for path in ("/packages", "/packages/constraints.txt"):
        assert web.request("GET", path, authorization=None).status == 401


@pytest.mark.parametrize(
    ("name", "version", "line"),
    [
        ("numpy", "2.4.6", "numpy==2.4.6"),
        ("torch", "2.9.0+cpu", "torch==2.9.0"),
        ("own", "1.0.dev3", "own==1.0.dev3"),
        ("odd", "unknown", ""),
        ("tabpy", "3.0.0", ""),
    ],
)
def test_a_constraint_is_one_that_a_notebook_can_keep(name: str, version: str, line: str) -> None:
    assert constraints({name: version}).splitlines()[1:] == ([line] if line else [])
