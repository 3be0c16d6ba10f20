"""The script worker: what the kernel refused a script, in words that name the setting.

A confined script meets nothing but `PermissionError`, and its author doesn't know this server.
What confines a process is noted once, when it is.
"""

import errno
import os
from collections.abc import Iterator

from tabpy.tabpy_server.script_rules import InForce, ScriptRules

CAUSES_SEEN = 10  # exceptions behind an exception
READ = (
    "Scripts may not read this here. "
    "TABPY_SCRIPT_READ names more folders to read, and TABPY_SCRIPT_WRITE folders to change."
)
WRITE = (
    "Scripts may write only to their temporary folder (tempfile) here. "
    "TABPY_SCRIPT_WRITE names more folders."
)
NETWORK = (
    "Scripts may not use the network here (TABPY_SCRIPT_NETWORK), nor do what else the server "
    "keeps them from (TABPY_SCRIPT_CONFINEMENT)."
)
CALL = "Scripts may not do this here (TABPY_SCRIPT_CONFINEMENT)."
NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)  # for whoever writes to a FIFO
PROCESSES = "Scripts can't start more processes and threads here, so that the server can go on."


_kept_to: list[tuple[ScriptRules, InForce]] = []  # at most one: it is for good


def note(rules: ScriptRules, parts: InForce) -> None:
    """Say what this process is kept to from now on."""
    _kept_to[:] = [(rules, parts)]


def explain(error: BaseException) -> str:
    """Return a line that says which setting would allow what failed; "" if none would."""
    try:
        lines = (_line(each, *_kept_to[0]) for each in with_causes(error)) if _kept_to else ()
        return next(filter(None, lines), "")
    except BaseException:  # noqa: BLE001 - a stranger's exception: it can raise when looked at
        return ""


def _line(error: BaseException, rules: ScriptRules, parts: InForce) -> str:
    if isinstance(error, OSError):
        return _of_the_system(error, rules, parts)
    if type(error).__module__ == "sqlite3" and "unable to open" in str(error):
        return WRITE if parts.landlock else ""
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return PROCESSES if parts.processes else ""
    return ""


def _of_the_system(error: OSError, rules: ScriptRules, parts: InForce) -> str:
    if error.errno == errno.EACCES and error.filename is not None:
        if not parts.landlock:
            return ""
        return READ if _is_closed(error.filename) else WRITE
    if error.errno in {errno.EPERM, errno.EACCES} and (parts.seccomp or parts.landlock):
        return CALL if rules.network else NETWORK
    return PROCESSES if error.errno == errno.EAGAIN and parts.processes else ""


def _is_closed(path: object) -> bool:
    """Say whether something is there that can't be read: looking for it is always allowed."""
    if not isinstance(path, str | bytes) or not os.path.exists(path):  # noqa: PTH110
        return False
    try:
        os.close(os.open(path, os.O_RDONLY | NO_WAIT))
    except OSError:
        return True
    return False


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those behind it, up to a bound."""
    seen: BaseException | None = error
    for _ in range(CAUSES_SEEN):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__
