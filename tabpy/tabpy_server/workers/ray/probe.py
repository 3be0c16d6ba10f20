"""What a node of the cluster has: its Python, this server, and the packages that scripts import.

`have` runs on a node where nothing of ours may be installed, so it goes there by value and needs
only Python itself.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

SHOWN = 8  # packages in a line
ANSWER_SECONDS = 60.0  # for a node to start a process and answer


class Found(NamedTuple):
    """`server`: the version of tabpy, "" where it isn't installed; `packages`: versions by name."""

    python: str
    server: str
    packages: Mapping[str, str]


def have() -> Found:
    """Return what is here."""
    import importlib.metadata
    import platform

    packages = {
        str(each.metadata["Name"]).lower().replace("_", "-"): each.version
        for each in importlib.metadata.distributions()
        if each.metadata["Name"]
    }
    try:
        import tabpy

        server = str(tabpy.__version__)
    except ImportError:
        server = ""
    return Found(platform.python_version(), server, packages)


def ask(node: str) -> Any:
    """Ask a node, by its id, what it has, for `answer`."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def look() -> tuple[Any, ...]:
        return tuple(have())

    by_value = ray.remote(_plain(look))
    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return by_value.options(num_cpus=0, scheduling_strategy=there, max_retries=0).remote()


def answer(asked: Any) -> Found:
    """Return what `ask` has asked for. Blocks; raises what Ray raises."""
    import ray

    return Found(*ray.get(asked, timeout=ANSWER_SECONDS))


def _plain(function: Any) -> Any:
    """Return it as something that is pickled by value, with `have` in it."""
    import sys

    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return function


def problem(found: Found, version: str) -> str:
    """Return why a node can't run this server's workers, "" if it can."""
    install = f"install tabpy {version} with the extra 'ray' there"
    if not found.server:
        return f"tabpy isn't installed: {install}"
    if found.server != version:
        return f"it has tabpy {found.server}, and this server is {version}: {install}"
    return ""


def differences(ours: Found, theirs: Found) -> list[str]:
    """Return lines on what a node has otherwise than this machine."""
    lines = []
    if theirs.python != ours.python:
        lines.append(f"Python {theirs.python}, and this machine has {ours.python}")
    missing = sorted(ours.packages.keys() - theirs.packages.keys())
    if missing:
        lines.append(f"it lacks {_listed(missing)}, which this machine has")
    other = [
        f"{name} {version} (here {ours.packages[name]})"
        for name, version in sorted(theirs.packages.items())
        if name in ours.packages and version != ours.packages[name]
    ]
    if other:
        lines.append(f"other versions: {_listed(other)}")
    return lines


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
