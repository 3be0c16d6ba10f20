"""The script worker: what a script can change around itself, and putting it back.

Each thing is compared first, since most jobs change none of it: all of it together takes some
microseconds. Attributes of modules other than those named here aren't looked at; nor are resource
limits, priority, open files and audit hooks, which can't be had back or can't be counted.
"""

import builtins
import contextvars
import decimal
import faulthandler
import gc
import locale
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from tabpy.tabpy_server.workers.worker.libraries import Libraries
from tabpy.tabpy_server.workers.worker.random_state import PythonRandom

IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
HANDLED = (*IGNORED, "SIGALRM", "SIGCHLD", "SIGPIPE")  # what scripts are likely to handle
TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")  # alarm() uses the first
LISTS: tuple[tuple[Any, str], ...] = (
    (sys, "path"),
    (sys, "argv"),
    (logging.root, "handlers"),
    (logging.root, "filters"),
)
ATTRIBUTES: tuple[tuple[Any, str], ...] = (
    (os, "environ"),
    (sys, "stdin"),
    (sys, "stdout"),
    (sys, "stderr"),
    (sys, "displayhook"),
    (sys, "excepthook"),
    (sys, "unraisablehook"),
    (sys, "tracebacklimit"),
    (threading, "excepthook"),
    (warnings, "formatwarning"),
)
MISSING = object()

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Setting = tuple[Callable[[], Any], Callable[[Any], object]]  # how to get it, how to set it


class Surroundings:
    """What a script can change outside its own variables, as it was when the worker started."""

    def __init__(self) -> None:
        self._builtins = dict(vars(builtins))
        self._folder = _folder()
        self._variables = dict(os.environ)
        self._raw_variables = dict(vars(os.environ)["_data"])
        self._attributes = [
            (owner, name, getattr(owner, name, MISSING)) for owner, name in ATTRIBUTES
        ]
        self._lists = [
            (owner, name, getattr(owner, name), list(getattr(owner, name))) for owner, name in LISTS
        ]
        self._settings = [(get, put, get()) for get, put in _settings()]
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._decimal = decimal.getcontext().copy()
        self._random = PythonRandom()
        self._libraries = Libraries()

    def run(
        self,
        job: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Call `job`, and forget what it sets in context variables: how numpy prints, and what it
        does about errors in arithmetic, are two."""
        return contextvars.copy_context().run(job, *args, **kwargs)

    def restore(self) -> bool:
        """Put everything back; true if something is left that can't be.

        It never raises: a result that is there isn't lost because its script left a mess.
        """
        try:
            self._restore()
            return has_threads() or has_children()
        except BaseException:  # noqa: BLE001 - whatever it is, a fresh worker doesn't have it
            return True

    def _restore(self) -> None:
        self._restore_builtins()  # first: all of our code needs them
        for owner, name, before in self._attributes:
            if getattr(owner, name, MISSING) is not before:
                delattr(owner, name) if before is MISSING else setattr(owner, name, before)
        for owner, name, object_, content in self._lists:
            if object_ != content:
                object_[:] = content
            setattr(owner, name, object_)
        self._restore_variables()
        for get, put, before in self._settings:
            if get() != before:
                put(before)
        if _folder() != self._folder:
            os.chdir(self._folder)
        os.umask(self._umask)
        faulthandler.cancel_dump_traceback_later()
        decimal.setcontext(self._decimal.copy())
        self._random.restore()
        self._libraries.restore()

    def _restore_builtins(self) -> None:
        now = vars(builtins)
        now.update(self._builtins)
        if len(now) != len(self._builtins):
            for name in now.keys() - self._builtins.keys():
                del now[name]

    def _restore_variables(self) -> None:
        # `os.environ` itself decodes each name and value when it is compared, which takes 27 us.
        if vars(os.environ)["_data"] != self._raw_variables:
            os.environ.clear()
            os.environ.update(self._variables)


def _folder() -> str:
    """Return the working folder; "" for one that has been removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - a string to compare, not a path to use
    except OSError:
        return ""


def _settings() -> Iterator[Setting]:
    """Yield what one function tells and another sets."""
    yield sys.getrecursionlimit, sys.setrecursionlimit
    yield sys.getswitchinterval, sys.setswitchinterval
    yield sys.get_int_max_str_digits, sys.set_int_max_str_digits
    yield sys.gettrace, sys.settrace
    yield sys.getprofile, sys.setprofile
    yield threading.gettrace, threading.settrace
    yield threading.getprofile, threading.setprofile
    yield gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()
    yield gc.get_threshold, lambda threshold: gc.set_threshold(*threshold)
    yield gc.get_debug, gc.set_debug
    yield (
        faulthandler.is_enabled,
        lambda on: faulthandler.enable(2) if on else faulthandler.disable(),
    )
    yield socket.getdefaulttimeout, socket.setdefaulttimeout
    yield (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda name: locale.setlocale(locale.LC_ALL, name),
    )
    yield lambda: logging.root.level, logging.root.setLevel
    yield lambda: logging.root.manager.disable, logging.disable
    yield lambda: warnings.filters[:], _set_warning_filters
    yield lambda: warnings.showwarning, _set_showwarning
    if sys.platform != "win32":
        # tzset reads the environment, which was put back before.
        yield lambda: (time.tzname, time.timezone), lambda _: time.tzset()
        yield from map(_timer, _numbers(TIMERS))
    for number in _numbers(HANDLED):
        if signal.getsignal(number) is not None:
            yield _handler(number)


def _numbers(names: tuple[str, ...]) -> list[int]:
    """Return those of the signal module's names that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


if sys.platform != "win32":

    def _timer(which: int) -> Setting:
        return lambda: signal.getitimer(which), lambda _: signal.setitimer(which, 0)


def _handler(number: int) -> Setting:
    return lambda: signal.getsignal(number), lambda handler: signal.signal(number, handler)


def _set_warning_filters(filters: Any) -> None:
    warnings.resetwarnings()  # also has Python look at them again
    warnings.filters[:] = filters  # type: ignore[index] # a list, whatever typeshed says


def _set_showwarning(function: Any) -> None:
    logging.captureWarnings(False)
    warnings.showwarning = function


def has_threads() -> bool:
    """Say whether a thread of Python's runs beside this one."""
    return threading.active_count() > 1


def has_children() -> bool:
    """Say whether a child process lives; bury all that don't."""
    if not hasattr(os, "WNOHANG"):
        return False
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def ignore_signals() -> None:
    """Leave it to the web process to drain: a stopping dyno sends SIGTERM to every process.

    But what a script starts ends at SIGTERM, as `Popen.terminate` and multiprocessing's pools
    want. A signal that is ignored stays so in each child; one with a handler doesn't.
    """
    for name in IGNORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, _go_on)
        # Held back meanwhile: Python forgets what comes to a child before it is itself again.
        os.register_at_fork(
            before=lambda: _hold_sigterm(signal.SIG_BLOCK),
            after_in_parent=lambda: _hold_sigterm(signal.SIG_UNBLOCK),
            after_in_child=_end_at_sigterm,
        )


def _go_on(*_: object) -> None:
    """Do nothing about a signal."""


if sys.platform != "win32":

    def _hold_sigterm(how: int) -> None:
        signal.pthread_sigmask(how, (signal.SIGTERM,))

    def _end_at_sigterm() -> None:
        if signal.getsignal(signal.SIGTERM) is _go_on:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _hold_sigterm(signal.SIG_UNBLOCK)
