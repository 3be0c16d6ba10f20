"""The script worker: what a script can change outside its own variables."""

import builtins
import gc
import os
import signal
import sys
import threading

IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")


class Surroundings:
    """What a script can change outside its own variables, as it was when the worker started."""

    def __init__(self) -> None:
        self._builtins = dict(builtins.__dict__)
        self._folder = os.getcwd()  # noqa: PTH109 - a string to compare, not a path to use
        self._environment = dict(os.environ)
        self._streams = (sys.stdout, sys.stderr)
        self._path = list(sys.path)
        self._recursion_limit = sys.getrecursionlimit()

    def restore(self) -> bool:
        """Put back what can be put back; true when something is left that can't."""
        builtins.__dict__.update(self._builtins)  # first: all of our code needs them
        for name in builtins.__dict__.keys() - self._builtins.keys():
            del builtins.__dict__[name]
        try:
            if os.getcwd() != self._folder:  # noqa: PTH109
                os.chdir(self._folder)
        except OSError:
            os.chdir(self._folder)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        sys.stdout, sys.stderr = self._streams
        sys.path[:] = self._path
        sys.setrecursionlimit(self._recursion_limit)
        for timer in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):  # alarm() uses the first
            if hasattr(signal, timer):
                signal.setitimer(getattr(signal, timer), 0)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        gc.enable()
        ignore_signals()
        return threading.active_count() > 1 or _has_children()


def _has_children() -> bool:
    if not hasattr(os, "WNOHANG"):
        return False
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return pid == 0 or _has_children()


def ignore_signals() -> None:
    # A stopping dyno sends SIGTERM to every process, but the web process is the one to drain.
    for name in IGNORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
