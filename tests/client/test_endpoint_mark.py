"""`@endpoint` notes what it is told, and leaves the function alone."""

from typing import Any

import pytest

from tabpy.tabpy_tools.endpoint import EndpointMark, endpoint


def test_bare_it_takes_the_functions_name() -> None:
    def double(x: int) -> int:
        return 2 * x

    marked = endpoint(double)
    assert marked is double
    assert vars(marked)["__tabpy_endpoint__"] == EndpointMark("double")


def test_with_arguments_it_notes_them() -> None:
    @endpoint(
        name="Double it",
        description="doubles",
        schema={"sample": 1},
        is_public=True,
        requirements=["numpy>=2"],
        pure=True,
    )
    def double(x: int) -> int:
        return 2 * x

    assert double(2) == 4
    assert vars(double)["__tabpy_endpoint__"] == EndpointMark(
        "Double it", "doubles", {"sample": 1}, True, ("numpy>=2",), True
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "a/b"}, "can't name an endpoint"),
        ({"name": 1}, "is a string, not int"),
        ({"requirements": "numpy"}, "list of strings"),
    ],
)
def test_what_cannot_be_right_is_refused_where_it_stands(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=complaint):
        endpoint(**arguments)(len)
