"""The script worker: deployed functions, loaded once and kept while memory allows."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.process_memory import resident
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker.unpickling import unpickle

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
        self.asking = threading.Lock()  # held by who asks: a script's threads share one socket
        self._loading = threading.Lock()  # and shall share one model
        self._over = False
        self._change_token = ""  # none yet, and no secret # nosec B105
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
        with self.asking:
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
        with self.asking:
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
    """Open the archive of a model at its start, if it is there and has the right SHA-256."""
    try:
        archive = Path(reference.path).open("rb")  # noqa: SIM115 - for the caller to close
    except OSError:
        return None
    try:
        whole = hashlib.file_digest(archive, "sha256").hexdigest() == reference.sha256
    except OSError:
        whole = False
    if whole:
        archive.seek(0)
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
        query = unpickle(archive, reference.name, reference.python)
    size = max(0, resident() - before)
    return Model(reference.name, reference.version, query, size)
