"""What one job changes around itself, no later one finds."""

import builtins
import faulthandler
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from decimal import getcontext
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker import surroundings as module
from tabpy.tabpy_server.workers.worker.surroundings import Surroundings, has_children

NAMES = {
    each.__name__: each
    for each in (
        builtins, faulthandler, gc, locale, logging, os, random, signal, socket, sys, threading,
        time, warnings,
    )
} | {"getcontext": getcontext}  # fmt: skip


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    """Those of this process, which may have threads and children of its own."""
    monkeypatch.setattr(module, "has_threads", lambda: False)
    monkeypatch.setattr(module, "has_children", lambda: False)
    return Surroundings()


UMASK = "(lambda now: (os.umask(now), now)[1])(os.umask(0))"
OTHER_LOCALE = "'C' if locale.setlocale(locale.LC_NUMERIC) != 'C' else 'C.UTF-8'"


@pytest.mark.parametrize(
    ("leave", "look"),
    [
        ("builtins.left = 1", "hasattr(builtins, 'left')"),
        ("builtins.len = None", "builtins.len"),
        ("del builtins.len", "hasattr(builtins, 'len')"),
        ("os.chdir('/')", "os.getcwd()"),
        ("os.umask(0o123)", UMASK),
        ("os.environ['LEFT'] = 'x'", "os.environ.get('LEFT')"),
        ("os.environ.pop('PATH')", "os.environ.get('PATH')"),
        ("os.environ = {}", "type(os.environ)"),
        ("os.environ['TZ'] = 'XYZ-9'; time.tzset()", "(time.localtime(0).tm_zone, time.tzname)"),
        ("os.environ['TZ'] = 'XYZ-9'; time.tzset(); del os.environ['TZ']", "time.tzname"),
        ("sys.stdout = None", "sys.stdout"),
        ("sys.stderr = None", "sys.stderr"),
        ("sys.stdin = None", "sys.stdin"),
        ("sys.displayhook = print", "sys.displayhook"),
        ("sys.excepthook = print", "sys.excepthook"),
        ("sys.unraisablehook = print", "sys.unraisablehook"),
        ("threading.excepthook = print", "threading.excepthook"),
        ("sys.tracebacklimit = 0", "hasattr(sys, 'tracebacklimit')"),
        ("sys.path.insert(0, '/left')", "list(sys.path)"),
        ("sys.path = ['/left']", "list(sys.path)"),
        ("sys.argv.append('left')", "list(sys.argv)"),
        ("sys.setrecursionlimit(5000)", "sys.getrecursionlimit()"),
        ("sys.setswitchinterval(1.0)", "sys.getswitchinterval()"),
        ("sys.set_int_max_str_digits(0)", "sys.get_int_max_str_digits()"),
        ("sys.setprofile(lambda *_: None)", "sys.getprofile()"),
        ("sys.settrace(lambda *_: None)", "sys.gettrace()"),
        ("threading.setprofile(lambda *_: None)", "threading.getprofile()"),
        ("threading.settrace(lambda *_: None)", "threading.gettrace()"),
        ("gc.disable()", "gc.isenabled()"),
        ("gc.set_threshold(1, 1, 1)", "gc.get_threshold()"),
        ("gc.set_debug(gc.DEBUG_SAVEALL)", "gc.get_debug()"),
        ("socket.setdefaulttimeout(7)", "socket.getdefaulttimeout()"),
        (
            f"locale.setlocale(locale.LC_NUMERIC, {OTHER_LOCALE})",
            "locale.setlocale(locale.LC_ALL)",
        ),
        ("getcontext().prec = 3", "getcontext().prec"),
        ("warnings.filterwarnings('ignore', 'left')", "warnings.filters[:]"),
        ("warnings.resetwarnings()", "warnings.filters[:]"),
        ("warnings.showwarning = print", "warnings.showwarning"),
        ("warnings.formatwarning = print", "warnings.formatwarning"),
        ("logging.captureWarnings(True)", "warnings.showwarning"),
        ("logging.root.addHandler(logging.NullHandler())", "logging.root.handlers[:]"),
        ("logging.root.setLevel(1)", "logging.root.level"),
        ("logging.disable()", "logging.root.manager.disable"),
        ("signal.signal(signal.SIGALRM, print); signal.alarm(60)",
         "(signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL))"),
        ("signal.setitimer(signal.ITIMER_PROF, 60)", "signal.getitimer(signal.ITIMER_PROF)"),
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "signal.getsignal(signal.SIGCHLD)"),
        ("signal.signal(signal.SIGTERM, print)", "signal.getsignal(signal.SIGTERM)"),
    ],
)  # fmt: skip
def test_what_a_job_leaves_is_put_back(surroundings: Surroundings, leave: str, look: str) -> None:
    before = eval(look, dict(NAMES))
    for _ in range(2):
        surroundings.run(exec, leave, dict(NAMES))
        changed = eval(look, dict(NAMES)) != before
        assert surroundings.restore() is False
        assert changed
        assert eval(look, dict(NAMES)) == before


def test_what_a_job_sets_in_context_variables_ends_with_it(surroundings: Surroundings) -> None:
    numpy = pytest.importorskip("numpy")
    before = repr(numpy.array([1.23])), numpy.geterr()

    def job() -> str:
        numpy.set_printoptions(precision=1)
        numpy.seterr(divide="raise")
        return repr(numpy.array([1.23]))

    assert surroundings.run(job) == "array([1.2])"
    assert (repr(numpy.array([1.23])), numpy.geterr()) == before


def test_the_second_to_capture_warnings_does_capture_them(surroundings: Surroundings) -> None:
    for _ in range(2):
        logging.captureWarnings(True)
        capturing = warnings.showwarning
        surroundings.restore()
        assert warnings.showwarning is not capturing


def test_random_numbers_follow_no_seed_of_an_earlier_job(surroundings: Surroundings) -> None:
    def draws_after(seed: int) -> list[float]:
        random.seed(seed)
        return [random.random() for _ in range(3)]

    expected = draws_after(1)
    random.seed(1)
    surroundings.restore()
    assert [random.random() for _ in range(3)] != expected
    assert draws_after(1) == expected  # a seed is worth what it was


def test_settings_of_libraries_are_put_back(surroundings: Surroundings) -> None:
    for _ in range(2):
        multiprocessing.set_start_method("spawn")
        assert surroundings.restore() is False
        assert multiprocessing.get_start_method(allow_none=True) is None


def test_a_timer_that_would_end_the_process_is_stopped(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers = [60]  # faulthandler.dump_traceback_later(60, exit=True)
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", timers.clear)
    surroundings.restore()
    assert timers == []


# --- what can't be put back ---


def test_a_folder_that_is_gone_costs_no_result_and_no_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, surroundings: Surroundings
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    started_there = Surroundings()
    folder.rmdir()
    assert started_there.restore() is True  # a fresh worker may do better
    assert Surroundings().restore() is False  # it can't, so it doesn't try


@pytest.mark.parametrize("wreck", ["os.getcwd = None", "os.umask = None", "signal.signal = None"])
def test_whatever_a_job_has_broken_its_result_is_kept_and_its_worker_is_not(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, wreck: str
) -> None:
    for owner, name in ((os, "getcwd"), (os, "umask"), (signal, "signal")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    exec(wreck, dict(NAMES))
    assert surroundings.restore() is True
    monkeypatch.undo()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.mark.parametrize("left", ["has_threads", "has_children"])
def test_threads_and_children_that_are_left_cannot_be_put_back(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    assert surroundings.restore() is False
    monkeypatch.setattr(module, left, lambda: True)
    assert surroundings.restore() is True


def test_a_thread_is_noticed() -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    assert module.has_threads()
    gate.set()
    thread.join()


def waiting_for(*answers: tuple[int, int] | None) -> Callable[[int, int], tuple[int, int]]:
    """An `os.waitpid` that gives these, None for no more children."""
    following = iter(answers)

    def wait(_pid: int, _options: int) -> tuple[int, int]:
        answer = next(following)
        if answer is None:
            raise ChildProcessError
        return answer

    return wait


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([None], False),
        ([(0, 0)], True),
        ([(7, 0), (0, 0)], True),
        ([*((pid, 0) for pid in range(1, 1101)), None], False),  # more than Python recurses
    ],
    ids=["none", "a living one", "a dead and a living one", "1100 dead ones"],
)
def test_dead_children_are_buried_and_living_ones_noticed(
    monkeypatch: pytest.MonkeyPatch, answers: list[Any], found: bool
) -> None:
    monkeypatch.setattr(os, "waitpid", waiting_for(*answers))
    assert has_children() is found


def test_signals_of_a_stopping_dyno_are_ignored() -> None:
    before = {name: signal.getsignal(getattr(signal, name)) for name in module.IGNORED}
    try:
        module.ignore_signals()
        for name in before:
            signal.raise_signal(getattr(signal, name))  # and this process goes on
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
