"""The packages of the server against a requirements.txt."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from tabpy.check.access import explained
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
    missing = lacking(wanted.requirements, there, python)
    if missing:
        return fail(
            f"the server (Python {python}) lacks: {', '.join(missing)}",
            "add them to the server's requirements.txt and deploy it again",
        )
    said = f"all {len(wanted.requirements)} are there (Python {python})"
    if wanted.unread:
        return warn(
            f"{said}, but not everything could be compared: {', '.join(wanted.unread)}",
            "write these as name==version",
        )
    return ok(said)


def lacking(
    requirements: Sequence[Requirement], there: Mapping[str, str], python: str
) -> list[str]:
    """List what isn't there, or in another version; markers are read with the server's Python."""
    environment = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
    }
    missing = []
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate({**environment, "extra": ""}):
            continue
        version = there.get(canonicalize_name(requirement.name))
        if version is None:
            missing.append(str(requirement.name))
        elif not _fits(requirement, version):
            missing.append(f"{requirement.name}{requirement.specifier} (has {version})")
    return missing


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False
