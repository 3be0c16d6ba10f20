"""What a notebook's environment has for itself: Jupyter, pip, the client, and what these need."""

from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_TOOLS = {
    *("tabpy", "pip", "setuptools", "wheel"),
    *("ipython", "ipykernel", "ipywidgets", "notebook"),
}
_FAMILY = "jupyter"  # jupyter, jupyterlab, jupyter-client, ...


def only_for_tools(names: Iterable[str]) -> set[str]:
    """Return those of `names` that are the tools of a notebook, or there for nothing but these.

    Names are canonical. What needs what is read from the packages that are installed here, so that
    of a list of another environment the tools themselves are found, and maybe not all they need.
    """
    listed = set(names)
    theirs = _with_needs({name for name in listed if _is_tool(name)})
    return (listed & theirs) - _with_needs(listed - theirs)


def _is_tool(name: str) -> bool:
    return name in _TOOLS or name.startswith(_FAMILY)


def _with_needs(names: Iterable[str]) -> set[str]:
    """Return `names` and all that they need, directly or not."""
    seen: set[tuple[str, str]] = set()
    waiting = {(name, "") for name in names}
    while waiting:
        seen |= waiting
        waiting = {need for each in waiting for need in _needs(*each)} - seen
    return {name for name, _ in seen}


def _needs(name: str, extra: str) -> set[tuple[str, str]]:
    """Return what a package needs on this computer for one of its extras, "" for none.

    Each is a name and one of its own extras.
    """
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return set()
    found: set[tuple[str, str]] = set()
    for line in lines:
        try:
            need = Requirement(line)
        except InvalidRequirement:  # of an old package
            continue
        if need.marker is None or need.marker.evaluate({"extra": extra}):
            found |= {(canonicalize_name(need.name), each) for each in ("", *need.extras)}
    return found
