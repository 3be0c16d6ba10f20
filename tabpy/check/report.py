"""What a step found, and how it reads on a screen and in JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tabpy.check.target import Target

_COLOURS = {"ok": "32", "FAIL": "1;31", "warn": "33", "skip": "2"}
_NAME_WIDTH = 19


class Status(Enum):
    OK = "ok"
    FAIL = "FAIL"
    WARN = "warn"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """One line of what holds, and one of what to do about it (may be empty)."""

    status: Status
    said: str
    todo: str = ""


def ok(said: str, note: str = "") -> Finding:
    return Finding(Status.OK, said, note)


def warn(said: str, todo: str) -> Finding:
    return Finding(Status.WARN, said, todo)


def fail(said: str, todo: str) -> Finding:
    return Finding(Status.FAIL, said, todo)


def skip(said: str) -> Finding:
    return Finding(Status.SKIP, said)


@dataclass(frozen=True)
class Result:
    """A step's finding and the seconds it took."""

    step: str
    finding: Finding
    seconds: float


def failed(results: Sequence[Result]) -> bool:
    return any(result.finding.status is Status.FAIL for result in results)


def lines(result: Result, *, colour: bool) -> str:
    """Write `status  step  what was found`, and below it, indented, what to do."""
    finding = result.finding
    status = finding.status.value
    mark = f"{status:<4}"
    if colour:
        mark = f"\x1b[{_COLOURS[status]}m{mark}\x1b[0m"
    text = f"{mark}  {result.step:<{_NAME_WIDTH}}  {printable(finding.said)}"
    if finding.todo:
        text += f"\n{'':<6}{'':<{_NAME_WIDTH}}  -> {printable(finding.todo)}"
    return text


def printable(text: str) -> str:
    """Return `text` on one line, without the control characters that a server could send."""
    return "".join(c if c.isprintable() else " " for c in text)


def dialogue(target: Target, user: str | None) -> dict[str, str]:
    """Return the values to type into Tableau's connection dialogue, under its own labels."""
    return {
        "Host name": target.host,
        "Port": str(target.port),
        "Require SSL": "yes" if target.ssl else "no",
        "User name": user or "(none)",
    }


def document(target: Target, user: str | None, results: Sequence[Result]) -> dict[str, object]:
    """Return the whole report for `--json`; `ok` says what the exit code says."""
    return {
        "url": target.url,
        "ok": not failed(results),
        "steps": [
            {
                "step": result.step,
                "status": result.finding.status.value.lower(),
                "said": result.finding.said,
                "todo": result.finding.todo,
                "seconds": round(result.seconds, 3),
            }
            for result in results
        ],
        "tableau": {
            "host_name": target.host,
            "port": target.port,
            "require_ssl": target.ssl,
            "user": user,
        },
    }
