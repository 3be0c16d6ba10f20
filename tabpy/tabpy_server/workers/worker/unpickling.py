"""The script worker: an archive made a function, or words why it can't be one here.

Nothing that another Python compiled becomes a code object: it may run, and end the process.
"""

import pickle
import platform
import sys
import types
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import IO, Any

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.workers.worker import bytecode, missing_packages, refusals
from tabpy.tabpy_server.workers.worker.failures import text_of
from tabpy.tabpy_tools.function_text import OtherPythonError, check_python

_NAME = 11  # which part of a code object is its name, in cloudpickle's order


def unpickle(archive: IO[bytes], name: str, python: str) -> Callable[..., Any]:
    """Return the function in an archive: the `query` of what was pickled.

    `python` is the version that made it, "" if that isn't known. Raises NotLoadableError that says
    in words why it can't be loaded here.
    """
    with _classes_of_its_own():
        try:
            loaded = _Unpickler(archive, python).load()
            query: Callable[..., Any] | None = getattr(loaded, "query", None)
        except BaseException as error:  # noqa: BLE001 - loading runs code, which can raise anything
            out_of_memory = isinstance(error, MemoryError)
            reason = _why(error, python)
            raise NotLoadableError(name, reason, out_of_memory=out_of_memory) from None
    if not callable(query):
        raise NotLoadableError(
            name,
            f"The archive holds an object of type {type(loaded).__name__}, which has no method "
            "query: deploy a function with the client.",
        )
    return query


class _Unpickler(pickle.Unpickler):  # noqa: S301 - in a worker, which runs anything
    """Makes code objects only of bytecode that this Python compiled, as far as can be told."""

    def __init__(self, archive: IO[bytes], python: str) -> None:
        super().__init__(archive)  # nosec B301 - what this server is for
        self._python = ".".join(python.split(".")[:2])

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if found is types.CodeType:
            return self._code_type()
        if name == "_builtin_type" and module.endswith("cloudpickle"):  # its way to such types
            return self._builtin_type
        return found

    def _builtin_type(self, name: str) -> Any:
        return self._code_type() if name == "CodeType" else getattr(types, name)

    def _code_type(self) -> type:
        return _CodeType("code", (), {"python": self._python})


class _CodeType(type):
    """Stands for `types.CodeType` in an archive. `python`: what compiled its code, if known."""

    python: str

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, types.CodeType)

    def __call__(cls, *parts: Any) -> types.CodeType:
        name = str(parts[_NAME]) if len(parts) > _NAME else "a function"
        for python in filter(None, (cls.python, bytecode.origin(parts))):
            check_python(python, name)
        return types.CodeType(*parts)


@contextmanager
def _classes_of_its_own() -> Iterator[None]:
    """Give what is loaded meanwhile classes that nothing else has.

    cloudpickle knows a class by an id in the archive, and makes it once a process: loading it again
    would give the second function the first one's class, and set that class's attributes back.
    """
    before = set(_tracked_classes())
    yield
    tracked = _tracked_classes()
    for archived_id in set(tracked) - before:
        own_id = uuid.uuid4().hex
        own_class = tracked[own_id] = tracked.pop(archived_id)
        sys.modules["cloudpickle.cloudpickle"]._DYNAMIC_CLASS_TRACKER_BY_CLASS[own_class] = own_id


def _tracked_classes() -> MutableMapping[str, type]:
    """Return cloudpickle's classes by their ids; none before an archive has had it imported."""
    cloudpickle = sys.modules.get("cloudpickle.cloudpickle")
    tracked: MutableMapping[str, type] = getattr(cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_ID", {})
    return tracked


def _why(error: BaseException, python: str) -> str:
    """Return why something couldn't be unpickled, for the person who deployed it."""
    if isinstance(error, OtherPythonError):
        return str(error)
    reason = _reason(error)
    if python in ("", platform.python_version()):
        return reason
    ours = platform.python_version()
    return f"{reason} It was made with Python {python}; this server runs {ours}."


def _reason(error: BaseException) -> str:
    text = f"{type(error).__name__}: {text_of(error)}"
    # A name of the kind that scikit-learn's compiled modules have is no package to install.
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("_"):
        top = error.name.partition(".")[0]
        cure = missing_packages.cure(top)
        return f"It needs {top}, which this server doesn't have ({text}). {cure}".rstrip()
    if isinstance(error, ImportError | AttributeError):
        return f"It was made with another version of what it needs ({text})."
    if isinstance(error, pickle.UnpicklingError | EOFError):
        return f"The archive is damaged, or is no pickle ({text})."
    return f"Loading it raised {text}. {refusals.explain(error)}".rstrip()
