"""What needs somebody, each with its cure: the one place that says it.

Nothing here depends on who asks. Whichever web process is asked finds the same: it looks for
itself, or at what all of them share.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.container_memory import ContainerMemory
from tabpy.tabpy_server.functions.store.endpoint import Endpoint
from tabpy.tabpy_server.script_rules import OFF, InForce
from tabpy.tabpy_server.settings import Settings

LEAST_DISK_MB = 256.0  # for archives on their way into the store, and for what scripts write
REASON_SHOWN = 300  # characters
SHOWN = 20  # functions or files that are named one by one


@dataclass(frozen=True)
class Finding:
    """Something for a person to see to. `key` names its kind. `is_urgent`: something doesn't work,
    or soon won't; else it is worth knowing. `details`: what it is about, one by one."""

    key: str
    what: str
    cure: str
    is_urgent: bool = True
    details: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return it on one line, for a log or a header."""
        return f"{self.what} {self.cure}"


def loses_functions(settings: Settings, endpoints: Mapping[str, Endpoint]) -> Finding | None:
    """Find that a dyno's disk keeps the functions, which starts afresh every day. It is urgent if
    there are any that don't deploy by themselves."""
    if not settings.on_heroku or settings.database_url:
        return None
    sent = [each for each in endpoints.values() if each.archive and not each.archive.origin]
    return Finding(
        "functions-lost",
        "Deployed functions are lost at this dyno's next restart, at least once a day.",
        "To keep them: heroku addons:create heroku-postgresql:essential-0",
        is_urgent=bool(sent),
    )


def confines_less(settings: Settings, confinement: InForce) -> Finding | None:
    """Find that scripts are kept to less than they could be."""
    if confinement.complete or settings.script_confinement == OFF:
        return None
    return Finding(
        "confinement",
        f"The server can't keep scripts to all rules: {'; '.join(confinement.missing)}.",
        "Let only people you trust run scripts, or run the server on a Linux whose kernel can.",
        is_urgent=False,
    )


def cannot_load(broken: Mapping[str, str]) -> Finding | None:
    """Find functions that can't be loaded. `broken`: why, by name."""
    if not broken:
        return None
    count = f"{len(broken)} deployed function{'s' if len(broken) > 1 else ''}"
    return Finding(
        "functions-broken",
        f"{count} can't be loaded: calling {'them' if len(broken) > 1 else 'it'} fails.",
        "Add what is missing to the server, or deploy anew from an environment like the server's.",
        details=_shown(
            [f"{name}: {reason[:REASON_SHOWN]}" for name, reason in sorted(broken.items())]
        ),
    )


def not_deployed(problems: list[str]) -> Finding | None:
    """Find what of `models/` wasn't deployed at the start. `problems`: a line for each."""
    if not problems:
        return None
    return Finding(
        "models-failed",
        "Not everything in models/ was deployed at the start.",
        "Mend the files, and start the server again.",
        details=_shown(problems),
    )


def old_hashes(count: int) -> Finding | None:
    """Find password hashes that are quick to guess from."""
    if not count:
        return None
    return Finding(
        "old-hashes",
        f"{'1 user has a password hash' if count == 1 else f'{count} users have password hashes'} "
        "of TabPy's old kind, quick to guess from.",
        "`tabpy-user update` makes new ones; the log of the start names the users.",
    )


def wrong_lines(count: int) -> Finding | None:
    """Find lines of the password file that don't count."""
    if not count:
        return None
    lines = "1 line" if count == 1 else f"{count} lines"
    return Finding(
        "password-file",
        f"In the password file, {lines} can't be read and don't count.",
        "The log names them. `tabpy-user list` shows who is left.",
    )


def open_to_all(is_closed: bool) -> Finding | None:
    """Find that the server asks for no password."""
    if is_closed:
        return None
    return Finding(
        "open",
        "No password: anyone who reaches this address can run Python here.",
        "Add a user with `tabpy-user add -u NAME -f tabpypwd.txt`, set TABPY_PWD_FILE to that file "
        "and start the server without --disable-auth-warning. Until then, let only machines you "
        "trust reach it.",
    )


def no_keys(is_failing: bool, are_known: bool) -> Finding | None:
    """Find that the keys of tokens can't be fetched from their issuer."""
    if not is_failing:
        return None
    left = "those of the last fetch count on" if are_known else "nobody can sign in by a token"
    return Finding(
        "issuer-keys",
        f"The token issuer's keys can't be fetched: {left}.",
        "See that the server reaches TABPY_OAUTH_JWKS_URI; the log says why it can't.",
        is_urgent=not are_known,
    )


def no_workers(cannot_start: bool) -> Finding | None:
    """Find that script workers don't start."""
    if not cannot_start:
        return None
    return Finding(
        "workers",
        "Script workers can't be started, so no script runs.",
        "The log says why. Mostly memory or processes are short: lower TABPY_WORKERS, or give the "
        "server more.",
    )


def certificate(warnings: list[str]) -> list[Finding]:
    """Return what is the matter with the server's certificate; `warnings` have their cures."""
    return [Finding("certificate", *_halves(each)) for each in warnings]


def short_of_disk(free_mb: float) -> Finding | None:
    """Find that the disk of the state folder is nearly full."""
    if free_mb >= LEAST_DISK_MB:
        return None
    return Finding(
        "disk",
        f"The disk has {free_mb:.0f} MB left: soon no function can be deployed, and no script can "
        "write a file.",
        "Make room on the disk of TABPY_STATE_PATH, or move that folder to a larger one.",
    )


def short_of_memory(is_short: bool) -> Finding | None:
    """Find that the container is near its limit."""
    if not is_short:
        return None
    return Finding(
        "memory",
        "Memory is short: scripts that need more may be stopped.",
        "Give the server more, or lower TABPY_WORKERS, so that fewer scripts run at a time.",
    )


def store_fails(why: str) -> Finding | None:
    """Find that the store can't be reached. `why`: the reason, without any secret."""
    if not why:
        return None
    return Finding(
        "store",
        "The store of deployed functions doesn't answer: none can be deployed, and those not yet "
        "called can't be.",
        "See that the database runs and that TABPY_DATABASE_URL or TABPY_STATE_PATH leads to it.",
        details=(why,),
    )


def shortages(settings: Settings) -> list[Finding]:
    """Find what the machine runs short of. Reads files."""
    found = (
        short_of_disk(free_disk_mb(settings.state_path)),
        short_of_memory(is_memory_short()),
    )
    return [each for each in found if each is not None]


def free_disk_mb(folder: Path) -> float:
    """Return what is left on the disk of a folder that may not exist yet; infinite if unknown."""
    for each in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(each).free / (1 << 20)
        except OSError:
            continue
    return float("inf")


def is_memory_short() -> bool:
    """Say whether the container is near its limit of memory, or the machine has less left than a
    worker takes."""
    return ContainerMemory().is_short() or machine.memory_available_mb() < machine.WORKER_MB


def _shown(lines: list[str]) -> tuple[str, ...]:
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return (*lines[:SHOWN], *more)


def _halves(text: str) -> tuple[str, str]:
    """Return what a warning says is the matter, and what it says to do."""
    what, colon, cure = text.rpartition(": ")
    return (f"{what}.", cure[:1].upper() + cure[1:]) if colon else (text, "")
