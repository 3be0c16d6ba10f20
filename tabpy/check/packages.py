"""The packages of the server against a requirements.txt."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from tabpy.check.access import explained
from tabpy.check.notebook import listed
from tabpy.check.report import Finding, fail, ok, warn
from tabpy.check.session import Session


@dataclass(frozen=True)
class Wanted:
    """A requirements.txt: what it names, and the lines that name no package and version."""

    requirements: tuple[Requirement, ...]
    unread: tuple[str, ...] = ()


def read(path: Path) -> Wanted:
    """Read requirements. Raises OSError, and ValueError with the line that is none."""
    text = re.sub(r"\\\r?\n", " ", path.read_text("utf-8-sig"))
    requirements: list[Requirement] = []
    unread: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.split(r"(?:^|\s)#", raw)[0].strip()
        if not line:
            continue
        if line.startswith(("-", ".", "/")) or re.match(r"\w+://", line):
            unread.append(line)
            continue
        try:
            requirements.append(Requirement(re.split(r"\s--", line)[0]))
        except InvalidRequirement as error:
            raise ValueError(f"{path}, line {number}: {line!r} is no requirement") from error
    return Wanted(tuple(requirements), tuple(unread))


def compare(session: Session, wanted: Wanted) -> Finding:
    """Ask the server for its packages, `{"python": version, "packages": {name: version}}`."""
    reply = session.request("GET", "/packages")
    about = reply.object()
    packages, python = about.get("packages"), about.get("python")
    if reply.status == 404:
        return fail(
            "this server doesn't tell its packages (no /packages)",
            "TabPy 2 has no such address: run pip freeze on the server instead",
        )
    if reply.status != 200 or not isinstance(packages, dict) or not isinstance(python, str):
        return fail(f"/packages gave {explained(reply)}", "look into the server's log")
    there: dict[str, str] = {
        canonicalize_name(str(name)): str(version) for name, version in packages.items()
    }
    kinds = listed(canonicalize_name(each.name) for each in wanted.requirements)
    compared = [
        each for each in wanted.requirements if canonicalize_name(each.name) not in kinds.own
    ]
    note = f"{len(kinds.own)} for Jupyter, pip or the client weren't compared" if kinds.own else ""
    all_there = f"all {len(compared)} are there (Python {python})"
    return _judged(differing(compared, there, python), kinds.brought, wanted, ok(all_there, note))


@dataclass(frozen=True)
class Difference:
    """What isn't on the server, and what is there in a version that isn't wanted."""

    missing: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


def differing(
    requirements: Sequence[Requirement], there: Mapping[str, str], python: str
) -> Difference:
    """Compare requirements with a server's packages; markers are read with the server's Python."""
    environment = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "extra": "",
    }
    missing = []
    other = []
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        version = there.get(canonicalize_name(requirement.name))
        if version is None:
            missing.append(str(requirement.name))
        elif not _fits(requirement, version):
            other.append(f"{requirement.name}{requirement.specifier} (has {version})")
    return Difference(tuple(missing), tuple(other))


def _judged(
    difference: Difference, brought: Collection[str], wanted: Wanted, fine: Finding
) -> Finding:
    gone = [name for name in difference.missing if canonicalize_name(name) in brought]
    missing = [name for name in difference.missing if name not in gone]
    others = [
        *difference.other,
        *(f"{name} (not there, and came with others here)" for name in gone),
    ]
    says = []
    if missing:
        says.append(f"lacks: {', '.join(missing)}")
    if others:
        says.append(f"has other versions: {', '.join(others)}")
    said = f"the server {'; it '.join(says)}"
    if missing:
        return fail(said, "add them to the server's requirements.txt and deploy it again")
    if others:
        return warn(
            said,
            "a function made here may fail there: install the server's versions, which "
            "/packages/constraints.txt lists for pip install -c",
        )
    if wanted.unread:
        return warn(
            f"{fine.said}, but not everything could be compared: {', '.join(wanted.unread)}",
            "write these as name==version",
        )
    return fine


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False
