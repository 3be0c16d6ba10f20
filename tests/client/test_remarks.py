"""A warning shows at the line of whoever uses the package, however deep it arises."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_tools.remarks import warn

TEXT = """
from contextlib import contextmanager

def call(warns):
    warns("so it is")

@contextmanager
def manager(warns):
    warns("so it is")
    yield

def call_in_manager(warns):
    with manager(warns):
        pass
"""


def of_module(name: str, function: str) -> Callable[[Callable[[str], None]], None]:
    """A function of a module of that name, which calls what it is given."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile(TEXT, f"{name}.py", "exec"), names)
    called: Callable[[Callable[[str], None]], None] = names[function]
    return called


@pytest.mark.parametrize("function", ["call", "call_in_manager"])
@pytest.mark.parametrize(
    ("module", "is_ours"),
    [
        ("tabpy.tabpy_tools", True),
        ("tabpy.tabpy_tools.deep.inside", True),
        ("tabpy.tabpy_tools_of_mine", False),
        ("prices", False),
    ],
)
def test_it_shows_at_the_innermost_line_of_somebody_else(
    module: str, is_ours: bool, function: str
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        of_module(module, function)(warn)
    assert [each.filename for each in caught] == [__file__ if is_ours else f"{module}.py"]
