"""The script worker: deployed functions, loaded once and kept while memory allows."""

import hashlib
import pickle
import platform
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from tabpy.tabpy_server.errors import NotLoadableError, RequestError
from tabpy.tabpy_server.machine import resident

COMPILED = b"_make_function"  # cloudpickle's word before the code of a function it takes along


@dataclass(frozen=True)
class Model:
    """A loaded function. `size` is about what it takes, in bytes."""

    name: str
    version: int
    query: Callable[..., Any]
    size: int


class Models:
    """Finds models by name, asking the web process what a name stands for now."""

    def __init__(
        self, ask: Callable[[str], Mapping[str, Any]], shared: Mapping[str, Model]
    ) -> None:
        """`ask`: a name's reference (`Catalog.reference`), or RequestError. `shared`: models that
        were there before the fork, by SHA-256; they take no memory of this worker's."""
        self._ask = ask
        self._shared = shared
        self._asking = threading.Lock()  # a script's threads share one socket
        self._over = False
        self._change_token = ""
        self._names: dict[str, Mapping[str, Any]] = {}
        self._loaded: OrderedDict[str, Model] = OrderedDict()  # by SHA-256, the last used last
        self._limit = 0

    def start(self, change_token: str, limit: int) -> None:
        """For a new job: names may stand for something else now. `limit`: bytes to keep."""
        self._limit = limit
        self._over = False
        if change_token != self._change_token:
            self._change_token = change_token
            self._names.clear()

    def finish(self) -> None:
        """The job is over: threads that it left behind may ask nothing any more, since they would
        be in the midst of its reply."""
        self._over = True
        with self._asking:
            pass

    def find(self, name: str) -> Model:
        """Raises RequestError for an unknown name, and what loading raises."""
        if name not in self._names:
            with self._asking:
                if self._over:
                    raise RequestError(500, "The script has ended", "this is a thread it left.")
                self._names[name] = self._ask(name)
        return self.load(self._names[name])

    def load(self, reference: Mapping[str, Any]) -> Model:
        """Raises RequestError, in words, for an archive that can't be loaded here."""
        sha256 = reference["sha256"]
        model = self._shared.get(sha256) or self._loaded.get(sha256)
        if model is None:
            model = load(reference)
            self._loaded[sha256] = model
            self._make_room()
        if sha256 in self._loaded:
            self._loaded.move_to_end(sha256)
        # The same code can serve under several names and versions.
        return replace(model, name=reference["name"], version=reference["version"])

    @property
    def size(self) -> int:
        """About what the loaded models take, in bytes."""
        return sum(model.size for model in self._loaded.values())

    def _make_room(self) -> None:
        while len(self._loaded) > 1 and self.size > self._limit:
            self._loaded.popitem(last=False)


def load(reference: Mapping[str, Any]) -> Model:
    """Raises RequestError, in words, for an archive that can't be loaded here."""
    before = resident()
    name = reference["name"]
    with Path(reference["path"]).open("rb") as archive:
        if hashlib.file_digest(archive, "sha256").hexdigest() != reference["sha256"]:
            raise NotLoadableError(name, "Its archive is damaged.")
        check_python(archive, name, reference["python"])
        query = unpickle(archive, name)
    return Model(name, reference["version"], query, max(0, resident() - before))


def unpickle(archive: IO[bytes], name: str) -> Callable[..., Any]:
    """The function in an archive: the `query` of what was pickled.

    Raises RequestError 500 that says in words why it can't be loaded here.
    """
    try:
        loaded = pickle.load(archive)  # noqa: S301 - people's Python is what this server runs
    except BaseException as problem:  # noqa: BLE001 - loading runs code, which can raise anything
        raise NotLoadableError(name, why(problem)) from None
    query: Callable[..., Any] | None = getattr(loaded, "query", None)
    if not callable(query):
        raise NotLoadableError(
            name,
            f"The archive holds an object of type {type(loaded).__name__}, which has no method "
            "query: deploy a function with the client.",
        )
    return query


def why(problem: BaseException) -> str:
    """Why something couldn't be unpickled, for the person who deployed it."""
    text = f"{type(problem).__name__}: {problem}"
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        top = problem.name.partition(".")[0]
        return f"It needs {top}, which this server doesn't have ({text})."
    if isinstance(problem, ImportError | AttributeError):
        return f"It was made with another version of what it needs ({text})."
    if isinstance(problem, pickle.UnpicklingError | EOFError):
        return f"The archive is damaged, or is no pickle ({text})."
    return f"Loading it raised {text}."


def check_python(archive: IO[bytes], name: str, python: str) -> None:
    """Raises RequestError 500 for compiled code of another Python: it may load, and end the process
    when it's called. What the archive only refers to by name is compiled here."""
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
