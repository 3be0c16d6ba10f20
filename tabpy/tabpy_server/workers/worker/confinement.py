"""Confinement of a process that is about to run somebody's code, and of all that it starts.

It is a one-way street that needs no privilege, and nothing in it has to be trusted after that: the
kernel keeps the rules. `find` tries each part in a process that is thrown away, and says which
this machine has; `enter` takes those, in each worker.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.script_rules import SIGNALS_SINCE, InForce, ScriptRules
from tabpy.tabpy_server.workers.worker import landlock, refusals, seccomp
from tabpy.tabpy_server.workers.worker.landlock import Allowed, Rule

TRUNCATE_SINCE = 3  # Landlock's version that sees to truncate(2)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Multiprocessing's semaphores are files there.
SHARED_MEMORY = ("/dev/shm",)  # noqa: S108 # nosec B108 - no temporary file of ours
FOR_SCRIPTS = 3 / 4  # of the processes that the machine still has for this user
PLENTY = 10_000  # so many processes need no limit


def enter(
    rules: ScriptRules,
    parts: InForce,
    allowed: Sequence[Allowed],
    folder: str,
    server: Sequence[int] = (),
) -> None:
    """Confine this process for good. Raises OSError if it can't have what `parts` promise.

    `allowed`: what `open_all` has opened; it is closed here. `folder`: the one that it may write
    to. `server`: pids that it must not signal, where Landlock doesn't see to that.
    `no_new_privs` has to be set.
    """
    if parts.processes:
        _limit_processes(parts.processes)
    if parts.landlock:
        all_allowed = [*allowed, *landlock.open_all([Rule((folder,), landlock.WRITING)])]
        landlock.restrict(all_allowed, parts.landlock)
        landlock.close_all(all_allowed)
        _use_folder(folder)
    if parts.seccomp:
        seccomp.install(os.uname().machine, _leeway(rules, parts, server))
    refusals.note(rules, parts)


def work_out(rules: ScriptRules, parts: InForce, server: Sequence[int]) -> None:
    """Do what `enter` would do, up to a process's own, for all processes that this one forks."""
    if parts.seccomp:
        seccomp.program(os.uname().machine, _leeway(rules, parts, server))


def _leeway(rules: ScriptRules, parts: InForce, server: Sequence[int]) -> seccomp.Leeway:
    return seccomp.Leeway(
        own_pid=os.getpid(),
        network=rules.network,
        server=None if parts.landlock >= SIGNALS_SINCE else server,
        truncate=parts.landlock >= TRUNCATE_SINCE,
    )


def find(rules: ScriptRules, folder: str) -> InForce:
    """Take each part that there is, and return which. This process is of no use afterwards."""
    missing = []
    version = landlock.abi()
    if not version:
        missing.append(f"Linux {os.uname().release} has no Landlock, or it is off")
    elif version < SIGNALS_SINCE:
        missing.append(f"Landlock {version} of Linux {os.uname().release} has no rules for signals")
    processes = _process_limit()
    try:
        enter(rules, InForce(landlock=version), open_all(rules), folder)
    except OSError as error:
        missing.append(f"Landlock can't be used: {error.strerror}")
        version = 0
    missing += [f"'{each}' can still be read" for each in rules.closed if version and _reads(each)]
    filtered = os.uname().machine in seccomp.AUDIT_MACHINE
    if not filtered:
        missing.append(f"the numbers of {os.uname().machine}'s system calls aren't known here")
    try:
        enter(rules, InForce(seccomp=filtered), (), folder)
    except OSError as error:
        filtered = False
        missing.append(f"system calls can't be filtered: {error.strerror}")
    if processes and not _can_start_with(processes):
        processes = 0
    return InForce(version, filtered, processes, tuple(missing))


def open_all(rules: ScriptRules) -> list[Allowed]:
    """Open what any process may touch that is confined by these rules."""
    return landlock.open_all(
        [
            Rule(rules.readable(), landlock.READING),
            Rule(rules.tidy, landlock.LISTING),
            Rule(rules.write, landlock.DRIVING),
            Rule(DEVICES, landlock.USING),
            Rule(SHARED_MEMORY, landlock.SHARING),
        ]
    )


def _use_folder(folder: str) -> None:
    """Have this process, and what it starts, put temporary files there."""
    os.environ["TMPDIR"] = folder
    os.environ["JOBLIB_TEMP_FOLDER"] = folder  # else it takes /dev/shm for large arrays
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].tempdir = None  # type: ignore[attr-defined] # what it found before


def _reads(path: str) -> bool:
    """Say whether a file can be opened; the names in a folder are no secret."""
    if not Path(path).is_file():
        return False
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _process_limit() -> int:
    """Return how many processes and threads of this user there may be before a script can start no
    more; 0 where there are plenty. What is left then is for the server."""
    import resource

    own = _tasks_of_this_user()
    left = machine.processes_left()
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY:
        left = min(left, soft - own)
    return 0 if left > PLENTY else own + int(left * FOR_SCRIPTS)


def _limit_processes(most: int) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _tasks_of_this_user() -> int:
    """Return how many processes and threads this user has, as far as /proc shows them."""
    uid, count = os.getuid(), 0
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                lines = Path(entry.path, "status").read_text("latin-1").splitlines()
            except OSError:
                continue  # it has just ended
            facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if int(facts["Uid"].split()[0]) == uid:
                count += int(facts["Threads"])
    return count


def _can_start_with(limit: int) -> bool:
    """Say whether a process can be started under the limit: in a container, /proc may not show
    everything that the kernel counts."""
    _limit_processes(limit)
    try:
        pid = os.fork()
    except OSError:
        return False
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True
