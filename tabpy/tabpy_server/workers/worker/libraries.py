"""The script worker: the settings of libraries, which would outlive the script that sets them.

Only of those that are imported: one that nobody has used costs nothing. A library's first settings
are those that it had when the worker started; of one that a script imported later, which may have
set some at once, they are the library's own defaults.
"""

import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Protocol

from tabpy.tabpy_server.workers.worker.random_state import NumpyRandom


class Restorable(Protocol):
    def restore(self) -> None:
        """Put back what the library had."""


class Libraries:
    """What scripts can set in the libraries that are known here."""

    def __init__(self) -> None:
        self._kept: dict[str, Restorable | None] = {}
        for name, module in _imported():
            self._kept[name] = _keep(name, module)

    def restore(self) -> None:
        """Put back the settings of all libraries that are imported by now."""
        for name, module in _imported():
            if name not in self._kept:
                self._kept[name] = _keep(name, module, DEFAULTS.get(name))
            kept = self._kept[name]
            if kept is not None:
                kept.restore()


def _keep(
    name: str, module: ModuleType, set_defaults: Callable[[ModuleType], None] | None = None
) -> Restorable | None:
    """Note what the library has; None for a version of it that isn't like those known here."""
    try:
        if set_defaults is not None:
            set_defaults(module)
        return KNOWN[name](module)
    except Exception:  # noqa: BLE001 - what it has stays, which is no reason not to serve
        return None


def _imported() -> Iterator[tuple[str, ModuleType]]:
    for name in KNOWN:
        module = sys.modules.get(name)
        if module is not None:
            yield name, module


class _Pandas:
    def __init__(self, pandas: ModuleType) -> None:
        self._pandas = pandas
        self._options = pandas.options.d  # the dictionary itself: asking for each takes longer
        self._before = _copy(self._options)

    def restore(self) -> None:
        if self._options != self._before:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of options that are going to be removed
                now = dict(_leaves(self._options))
                for key, value in _leaves(self._before):
                    if now[key] != value:
                        self._pandas.set_option(key, value)  # which also acts on it


def _pandas_defaults(pandas: ModuleType) -> None:
    # `pandas.reset_option("all")` would import Matplotlib, and fail without it.
    registered = pandas._config.config._registered_options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key, value in _leaves(pandas.options.d):
            if value != registered[key].defval:
                pandas.reset_option(key)


def _copy(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(each) if isinstance(each, dict) else each for key, each in options.items()}


def _leaves(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, each in options.items():
        if isinstance(each, dict):
            yield from _leaves(each, f"{prefix}{key}.")
        else:
            yield prefix + key, each


class _Matplotlib:
    """Its `rcParams`, but for the backend, which is no mere value: as its `rc_context` does."""

    def __init__(self, matplotlib: ModuleType) -> None:
        self._parameters = matplotlib.rcParams
        self._before = dict.copy(self._parameters)  # as they are: reading one may choose a backend

    def restore(self) -> None:
        self._before["backend"] = dict.__getitem__(self._parameters, "backend")
        if not dict.__eq__(self._parameters, self._before):
            dict.update(self._parameters, self._before)


class _Pyplot:
    """Its open figures: the next script would draw into the last one."""

    def __init__(self, pyplot: ModuleType) -> None:
        self._pyplot = pyplot

    def restore(self) -> None:
        if self._pyplot.get_fignums():
            self._pyplot.close("all")


class _Sklearn:
    def __init__(self, sklearn: ModuleType) -> None:
        self._sklearn = sklearn
        self._before = sklearn.get_config()

    def restore(self) -> None:
        if self._sklearn.get_config() != self._before:
            self._sklearn.set_config(**self._before)


def _sklearn_defaults(sklearn: ModuleType) -> None:
    defaults: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: defaults.update(sklearn.get_config()))
    thread.start()  # its configuration is each thread's own, and a new one has the defaults
    thread.join()
    sklearn.set_config(**defaults)


class _Multiprocessing:
    """The start method, which can't be set a second time otherwise."""

    def __init__(self, multiprocessing: ModuleType) -> None:
        self._multiprocessing = multiprocessing

    def restore(self) -> None:
        if self._multiprocessing.get_start_method(allow_none=True) is not None:
            self._multiprocessing.set_start_method(None, force=True)


KNOWN: Mapping[str, Callable[[ModuleType], Restorable]] = {
    "numpy.random": NumpyRandom,
    "pandas": _Pandas,
    "matplotlib": _Matplotlib,
    "matplotlib.pyplot": _Pyplot,
    "sklearn": _Sklearn,
    "multiprocessing": _Multiprocessing,
}
DEFAULTS: Mapping[str, Callable[[ModuleType], None]] = {
    "pandas": _pandas_defaults,
    "matplotlib": lambda matplotlib: matplotlib.rc_file_defaults(),
    "sklearn": _sklearn_defaults,
}
