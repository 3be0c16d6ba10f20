"""The script worker: deployed functions, loaded once and kept while memory allows."""

import hashlib
import pickle
import platform
import sys
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.process_memory import resident
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker import refusals
from tabpy.tabpy_server.workers.worker.failures import text_of

COMPILED = b"_make_function"  # cloudpickle's word before the code of a function it takes along
DAMAGED = "Its archive is damaged."

# What a loaded model is kept by: name and SHA-256. Two names with equal archives are two functions,
# and each has its own globals; two versions with equal archives are one.
Key = tuple[str, str]


@dataclass(frozen=True)
class Model:
    """A loaded function. `size` is about what it takes, in bytes."""

    name: str
    version: int
    query: Callable[..., Any]
    size: int


class Ask(Protocol):
    def __call__(self, name: str, damaged: str) -> Reference:
        """Return what `name` stands for now, or raise a TabPyError. `damaged`: the SHA-256 of an
        archive that is missing or not whole, and so to be fetched once more, else ""."""


class ScriptEndedError(Exception):
    """A thread that a script left behind asks for a function."""


class Models:
    """Finds models by name, asking the web process what a name stands for now."""

    def __init__(self, ask: Ask, preloaded: Mapping[Key, Model]) -> None:
        """`preloaded`: models that were there before the fork; they take no memory of ours."""
        self._ask = ask
        self._preloaded = preloaded
        self._asking = threading.Lock()  # a script's threads share one socket
        self._loading = threading.Lock()  # and shall share one model
        self._over = False
        self._change_token = ""
        self._names: dict[str, Reference] = {}
        self._loaded: OrderedDict[Key, Model] = OrderedDict()  # the last used last
        self._limit = 0

    def start(self, change_token: str, limit: int) -> None:
        """Begin a job: names may stand for something else now. `limit`: bytes to keep."""
        self._limit = limit
        self._over = False
        if change_token != self._change_token:
            self._change_token = change_token
            self._names.clear()

    def finish(self) -> None:
        """End the job: threads that it left behind may ask nothing any more, since they would be
        in the midst of its reply."""
        self._over = True
        with self._asking:
            pass

    def find(self, name: str) -> Model:
        """Return the model that `name` stands for.

        Raises UnknownFunctionError, ScriptEndedError and what `load` raises.
        """
        reference = self._names.get(name)
        if reference is None:
            reference = self._names[name] = self._reference(name)
        return self.load(reference)

    def load(self, reference: Reference) -> Model:
        """Return a model, loaded if it isn't yet. Raises NotLoadableError, with the reason."""
        with self._loading:
            model = self._kept(reference)
            if model is None:
                archive = open_whole(reference)
                if archive is None:
                    # The store may have it whole: our file is only a copy of what is there.
                    reference = self._reference(reference.name, damaged=reference.sha256)
                    archive = open_whole(reference)
                model = _read(archive, reference)
                self._loaded[_key(reference)] = model
                self._make_room()
        # The same archive can serve as several versions.
        return replace(model, version=reference.version)

    @property
    def size(self) -> int:
        """Return about what the loaded models take, in bytes."""
        return sum(model.size for model in self._loaded.values())

    def _reference(self, name: str, damaged: str = "") -> Reference:
        with self._asking:
            if self._over:
                raise ScriptEndedError("The script has ended: this is a thread it left.")
            return self._ask(name, damaged)

    def _kept(self, reference: Reference) -> Model | None:
        key = _key(reference)
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        return self._preloaded.get(key)

    def _make_room(self) -> None:
        while len(self._loaded) > 1 and self.size > self._limit:
            self._loaded.popitem(last=False)


def load(reference: Reference) -> Model:
    """Load a model from its archive. Raises NotLoadableError, with the reason."""
    return _read(open_whole(reference), reference)


def open_whole(reference: Reference) -> IO[bytes] | None:
    """Open the archive of a model, if it is there and has the right SHA-256."""
    try:
        archive = Path(reference.path).open("rb")  # noqa: SIM115 - for the caller to close
    except OSError:
        return None
    try:
        whole = hashlib.file_digest(archive, "sha256").hexdigest() == reference.sha256
    except OSError:
        whole = False
    if whole:
        return archive
    archive.close()
    return None


def _key(reference: Reference) -> Key:
    return reference.name, reference.sha256


def _read(archive: IO[bytes] | None, reference: Reference) -> Model:
    if archive is None:
        raise NotLoadableError(reference.name, DAMAGED)
    before = resident()
    with archive:
        check_python(archive, reference.name, reference.python)
        query = unpickle(archive, reference.name)
    size = max(0, resident() - before)
    return Model(reference.name, reference.version, query, size)


def unpickle(archive: IO[bytes], name: str) -> Callable[..., Any]:
    """Return the function in an archive: the `query` of what was pickled.

    Raises NotLoadableError that says in words why it can't be loaded here.
    """
    with _classes_of_its_own():
        try:
            loaded = pickle.load(archive)  # noqa: S301 - people's Python is what this server runs
            query: Callable[..., Any] | None = getattr(loaded, "query", None)
        except BaseException as error:  # noqa: BLE001 - loading runs code, which can raise anything
            out_of_memory = isinstance(error, MemoryError)
            raise NotLoadableError(name, why(error), out_of_memory=out_of_memory) from None
    if not callable(query):
        raise NotLoadableError(
            name,
            f"The archive holds an object of type {type(loaded).__name__}, which has no method "
            "query: deploy a function with the client.",
        )
    return query


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


def why(error: BaseException) -> str:
    """Return why something couldn't be unpickled, for the person who deployed it."""
    text = f"{type(error).__name__}: {text_of(error)}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        return f"It needs {top}, which this server doesn't have ({text})."
    if isinstance(error, ImportError | AttributeError):
        return f"It was made with another version of what it needs ({text})."
    if isinstance(error, pickle.UnpicklingError | EOFError):
        return f"The archive is damaged, or is no pickle ({text})."
    return f"Loading it raised {text}. {refusals.explain(error)}".rstrip()


def check_python(archive: IO[bytes], name: str, python: str) -> None:
    """Refuse compiled code of another Python: it may load, and end the process when it's called.

    What the archive only refers to by name is compiled here. Raises NotLoadableError.
    """
    theirs = ".".join(python.split(".")[:2])
    ours = ".".join(platform.python_version_tuple()[:2])
    archive.seek(0)
    has_code = COMPILED in archive.read() if theirs not in ("", ours) else False
    archive.seek(0)
    if has_code:
        raise NotLoadableError(
            name,
            f"It was made with Python {theirs}, whose compiled functions don't run on this "
            f"server's {ours}: deploy it again from Python {ours}.",
        )
