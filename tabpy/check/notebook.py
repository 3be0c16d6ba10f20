"""What a notebook's environment has for itself: Jupyter, pip, the client, and what these need."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_CLIENT = "tabpy"
_TOOLS = {
    *(_CLIENT, "pip", "setuptools", "wheel"),
    *("ipython", "ipykernel", "ipywidgets", "notebook"),
}
_FAMILY = "jupyter"  # jupyter, jupyterlab, jupyter-client, ...


@dataclass(frozen=True)
class Listed:
    """The packages of a list, by their canonical names.

    `own`: the tools of a notebook, what is there for nothing but these, and what the client needs,
    which every server has. `brought`: what came with one of the others, whose version on a server
    may do without.
    """

    own: Set[str]
    brought: Set[str]


def listed(names: Iterable[str]) -> Listed:
    """Tell apart what a list names, by what the packages that are installed here need.

    Of a list of another environment the tools are found, and maybe not all they need. One that
    names no tool was written by hand: its author has chosen all of it.
    """
    every = set(names)
    tools = {name for name in every if _is_tool(name)}
    if not tools:
        return Listed(set(), set())
    theirs = tools | _needed(tools)
    wanted = _needed(every - theirs)
    clients = {name for name, _ in _needs(_CLIENT, "")} if _CLIENT in tools else set()
    own = (every & theirs) - (wanted - clients)
    return Listed(own, (every & wanted) - own)


def _is_tool(name: str) -> bool:
    return name in _TOOLS or name.startswith(_FAMILY)


def _needed(names: Iterable[str]) -> set[str]:
    """Return all that these need, directly or not."""
    seen: set[tuple[str, str]] = set()
    found: set[str] = set()
    waiting = {(name, "") for name in names}
    while waiting:
        seen |= waiting
        needs = {need for each in waiting for need in _needs(*each)}
        found |= {name for name, _ in needs}
        waiting = needs - seen
    return found


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
