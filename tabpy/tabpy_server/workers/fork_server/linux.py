"""The kernel's calls that the fork server is made of."""

import ctypes
import os
import signal
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
OOM_SCORE = "800"  # thousandths of all memory, added to what a process takes: proc(5)


def prctl(option: int, argument: int) -> None:
    """Call prctl(2); do nothing where the kernel doesn't know the option."""
    ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent, which should be `parent`, ends."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def be_killed_first() -> None:
    """Where memory runs out, have the kernel take this process before the server's own.

    The file is root's while a process isn't dumpable (proc(5)), so this has to come before
    anything worth reading is in this process's memory.
    """
    prctl(PR_SET_DUMPABLE, 1)
    try:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")
    except OSError:
        pass  # it is a wish; some containers refuse it
    finally:
        prctl(PR_SET_DUMPABLE, 0)


def kill_group(pid: int) -> None:
    """Kill a process and all of its group; the pid is ours until `waitpid` has returned it."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children, as far as the kernel tells."""
    try:
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())]
    except OSError:
        return []


def wait_for_any_child() -> tuple[int, int] | None:
    """Return pid and status of a child that has died; None when there is none (yet)."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def reason_of_death(status: int) -> str:
    """Return what ended a process, by its wait status: "was killed by signal 9 (SIGKILL)"."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"was killed by signal {number} ({signal.Signals(number).name})"
        except ValueError:
            return f"was killed by signal {number}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"
