"""`@endpoint`: mark a function of `models/` to be deployed at boot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from tabpy.tabpy_tools.names import check_endpoint_name

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class EndpointMark:
    """What `@endpoint` was told; a `description` of None stands for the function's docstring."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    is_public: bool = False
    requirements: tuple[str, ...] = ()
    pure: bool = False


@overload
def endpoint(function: _Function, /) -> _Function: ...


@overload
def endpoint(
    *,
    name: str | None = None,
    description: str | None = None,
    schema: dict[str, Any] | None = None,
    is_public: bool = False,
    requirements: Sequence[str] = (),
    pure: bool = False,
) -> Callable[[_Function], _Function]: ...


def endpoint(  # noqa: PLR0913 - all but the first by name
    function: _Function | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    schema: dict[str, Any] | None = None,
    is_public: bool = False,
    requirements: Sequence[str] = (),
    pure: bool = False,
) -> _Function | Callable[[_Function], _Function]:
    """Mark a function as an endpoint, with or without arguments, and return it unchanged.

    The mark is an `EndpointMark` in its attribute `__tabpy_endpoint__`; `name` is the function's
    own unless given. The arguments mean what they mean to `Client.deploy`. Raises TypeError or
    ValueError where they can't be right, so that a mistake shows at the line it is in.
    """
    required = as_requirements(requirements)

    def mark(function: _Function) -> _Function:
        public_name = function.__name__ if name is None else name
        check_endpoint_name(public_name)
        noted = EndpointMark(public_name, description, schema, is_public, required, pure)
        function.__tabpy_endpoint__ = noted  # type: ignore[attr-defined]
        return function

    return mark if function is None else mark(function)


def as_requirements(requirements: object) -> tuple[str, ...]:
    """Return requirements as pip writes them, such as `scikit-learn>=1.5`; TypeError for others."""
    if not isinstance(requirements, list | tuple) or not all(
        isinstance(requirement, str) for requirement in requirements
    ):
        raise TypeError(
            "requirements is a list of strings such as ['scikit-learn>=1.5'], "
            f"not {requirements!r}."
        )
    return tuple(requirements)
