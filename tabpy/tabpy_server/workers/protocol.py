"""What a web process, its script workers and the fork server say to each other.

A message is a dataclass. On a worker's socket it travels as a frame:

    kind   1 byte     which class
    meta   4 bytes    its length                    (both lengths big-endian)
    body   8 bytes    its length
           meta       the message's fields, as JSON
           body       raw bytes: a request's body as it came, a reply's as it will be sent
    END    1 byte     after what a worker sends

A worker can be killed in the middle of a frame. The fork server's `Death` closes with no END, and
has no such byte in it, so it can never complete what the worker had begun.
"""

import dataclasses
import hashlib
import re
import signal
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_origin, get_type_hints

import orjson

from tabpy.tabpy_server import json_codec
from tabpy.tabpy_server.errors import (
    DiskFullError,
    FlightUnavailableError,
    FunctionFailedError,
    InvalidInputError,
    NotLoadableError,
    ScriptFailedError,
    StoreUnavailableError,
    TabPyError,
    UnknownFunctionError,
    UnknownTableError,
)
from tabpy.tabpy_server.workers.fork_server_state import KEY_SIZE

HEADER = struct.Struct("!cIQ")
END = b"\xff"  # no byte of UTF-8
META_LIMIT = 1 << 20  # bytes that a worker's meta may have
FACT_LIMIT = 16_384  # characters of each of an error's facts
TRACE_LIMIT = 16_384  # characters of a traceback: the last ones say most
NAME_LIMIT = 80  # characters of a function's name
LINES_LIMIT = 10_000_000  # more than a body has room for
ETAG = re.compile(r"[0-9a-f]{32}-[0-9]{1,18}|")

# What a worker can rightly have met: any other error would let a script choose its answer's status.
FAILURES = (
    InvalidInputError,
    ScriptFailedError,
    FunctionFailedError,
    NotLoadableError,
    UnknownFunctionError,
    StoreUnavailableError,
    UnknownTableError,
    FlightUnavailableError,
    DiskFullError,
)


class ProtocolError(Exception):
    """What came isn't a message: a script wrote to the socket, or was killed while writing."""


class TooLargeError(ProtocolError):
    """A message's body is larger than it may be."""


# What a worker is asked to do


@dataclass(frozen=True)
class Reference:
    """What a worker needs to load a model: the archive at `path`, of `size` bytes, made with Python
    `python`."""

    name: str
    version: int
    sha256: str
    path: str
    python: str
    size: int = 0


@dataclass(frozen=True)
class Evaluate:
    """Run the script in the body, a request of Tableau's. `has_tables`: it may name an Arrow table,
    which the web process has. `as_numpy`: its arguments are numpy's arrays, unless the script says
    otherwise."""

    has_tables: bool = False
    as_numpy: bool = False


@dataclass(frozen=True)
class Query:
    """Call a deployed function with the arguments in the body."""

    reference: Reference


@dataclass(frozen=True)
class Load:
    """Load a deployed function, so that the next call of it needn't."""

    reference: Reference


@dataclass(frozen=True)
class CheckArchive:
    """Load the archive at `path`, about to be deployed as `name`; "" for none. The body is its
    schema, if that came as a text: the text as JSON. The reply's body is JSON: `{"remarks": lines
    for who deploys it, "schema": the object in the text, or null}`."""

    path: str
    name: str
    requirements: list[str]
    python: str
    packages: dict[str, str]


@dataclass(frozen=True)
class Collect:
    """Archive the marked functions of the folder `models` in files that go when the worker does.
    The reply's body is JSON: `{"functions": the metadata of each, with "archive", its file, and
    "file", the name of its module, "problems": a line for each that can't be had}`."""

    models: str


Task = Evaluate | Query | Load | CheckArchive | Collect


# Messages


@dataclass(frozen=True)
class Hello:
    """Worker: ready for a job. `origin` is that of the fork server that forked it, "" without."""

    pid: int
    origin: str = ""


@dataclass(frozen=True)
class Job:
    """Web process: do `task`, with the body. `model_memory`: bytes of models to keep loaded.
    `want_printed`: tell what the script prints, and the traceback if it fails. `headers`: those of
    the request that a script may see. `in_memory`: the bytes of a large body, which has a
    descriptor of sealed memory of its own, with one byte after this message."""

    task: Task
    change_token: str
    model_memory: int = 0
    want_printed: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    in_memory: int = 0


@dataclass(frozen=True)
class Reply:
    """Worker: done, the body is JSON. `etag` is of a function's answer. `recycle`: replace me.
    `trouble`: the traceback of what failed after the job, in our own code. `logged`: what the
    script wrote to its log, each with a level of Python's. `in_memory`: the bytes of a large body,
    which is in the memory that a `NeedMemory` asked for, and nothing else."""

    etag: str = ""
    printed: str = ""
    recycle: bool = False
    trouble: str = ""
    logged: list[tuple[int, str]] = field(default_factory=list)
    in_memory: int = 0


@dataclass(frozen=True)
class Failure:
    """Worker: what went wrong, an `errors.TabPyError`, the author's part of its traceback, and the
    `line` and `function` where it failed; the rest is as in `Reply`."""

    error_name: str
    facts: list[Any]
    printed: str = ""
    recycle: bool = False
    trouble: str = ""
    trace: str = ""
    logged: list[tuple[int, str]] = field(default_factory=list)
    line: int = 0
    function: str = ""

    @classmethod
    def of(cls, error: TabPyError, reply: Reply, trace: str = "") -> "Failure":
        """Return the message that carries `error`, the rest of `reply`, and `trace`."""
        rest = (reply.printed, reply.recycle, reply.trouble, trace, reply.logged)
        facts = [_cut(str(fact)) for fact in error.args]
        line, function = error.at
        if not line or not 0 < line < LINES_LIMIT:  # code can be made that has none, or any
            line = 0
        if not _is_name(function):
            function = ""
        return cls(type(error).__name__, facts, *rest, line, function)

    def error(self) -> TabPyError:
        """Return the error it carries. Raises ProtocolError for one that no worker can have met,
        and for facts that aren't short texts."""
        if self.error_name not in {each.__name__ for each in FAILURES}:
            raise ProtocolError(f"no worker's error: {self.error_name[:40]!r}")
        if not all(isinstance(fact, str) and len(fact) <= FACT_LIMIT for fact in self.facts):
            raise ProtocolError("facts that are no short texts")
        if not 0 <= self.line < LINES_LIMIT or not (_is_name(self.function) or not self.function):
            raise ProtocolError("no place in a text")  # which would go to the log
        error = _error(self.error_name, self.facts)
        error.at = self.line, self.function
        return error


@dataclass(frozen=True)
class Crash:
    """Worker: our own code failed, with this traceback; not the script's fault."""

    trace: str

    @classmethod
    def of(cls, trace: str) -> "Crash":
        """Return the message with as much of a traceback as there is room for."""
        return cls(trace[-TRACE_LIMIT:])


@dataclass(frozen=True)
class Need:
    """Worker, in the middle of a job: what does the name of a function stand for? `damaged` is the
    SHA-256 of an archive that turned out to be missing or not whole, else ""."""

    name: str
    damaged: str = ""


@dataclass(frozen=True)
class Answer:
    """Web process: what a `Need` asked for."""

    reference: Reference


@dataclass(frozen=True)
class Refusal:
    """Web process: why a `Need` can't be met."""

    error_name: str
    facts: list[Any]

    @classmethod
    def of(cls, error: TabPyError) -> "Refusal":
        """Return the message that carries `error`."""
        return cls(type(error).__name__, list(error.args))

    def error(self) -> TabPyError:
        """Return the error it carries."""
        return _error(self.error_name, self.facts)


@dataclass(frozen=True)
class NeedTable:
    """Worker, in the middle of a job: where is the Arrow table of this path? It asks once."""

    path: str


@dataclass(frozen=True)
class TableFollows:
    """Web process: what a `NeedTable` asked for comes now, with one byte after this message: two
    descriptors of memory, one of the table, one for the result. Both are streams of Arrow's IPC
    format. The worker cuts the second one to what it has written: nothing, if it returns none."""


@dataclass(frozen=True)
class NeedMemory:
    """Worker, at the end of a job: where does a large body of its reply go? It asks once."""


@dataclass(frozen=True)
class MemoryFollows:
    """Web process: what a `NeedMemory` asked for comes now, a descriptor with one byte after this
    message: memory as large as the body may be. The worker cuts it to what it has written."""


@dataclass(frozen=True)
class Death:
    """Fork server: the worker is gone; `reason` says how, such as "ended with exit code 3"."""

    reason: str


Message = (
    Hello
    | Job
    | Reply
    | Failure
    | Crash
    | Need
    | Answer
    | Refusal
    | NeedTable
    | TableFollows
    | NeedMemory
    | MemoryFollows
    | Death
)
KINDS: Mapping[type[Message], bytes] = {
    Hello: b"H",
    Job: b"J",
    Reply: b"R",
    Failure: b"F",
    Crash: b"C",
    Need: b"N",
    Answer: b"A",
    Refusal: b"X",
    NeedTable: b"T",
    TableFollows: b"W",
    NeedMemory: b"M",
    MemoryFollows: b"P",
    Death: b"D",
}
CLASSES: Mapping[bytes, type[Message]] = {kind: cls for cls, kind in KINDS.items()}
TASKS: Mapping[str, type[Task]] = {
    "evaluate": Evaluate,
    "query": Query,
    "load": Load,
    "check": CheckArchive,
    "collect": Collect,
}
RARE = (
    "headers",
    "logged",
    "line",
    "function",
    "in_memory",
)  # fields that are mostly empty, and then left out
TASK_NAMES: Mapping[type[Task], str] = {cls: name for name, cls in TASKS.items()}


def encode(message: Message, body_length: int = 0) -> bytes:
    """Return the bytes that go before the body; END is the worker's to add."""
    meta = dict(vars(message))
    if isinstance(message, Job):
        meta["task"] = {"": TASK_NAMES[type(message.task)], **vars(message.task)}
    for name in RARE:
        if name in meta and not meta[name]:
            del meta[name]
    try:
        encoded = orjson.dumps(meta)
    except orjson.JSONEncodeError:  # a lone surrogate in a name, or in what a script printed
        encoded = json_codec.dumps(meta)
    return HEADER.pack(KINDS[type(message)], len(encoded), body_length) + encoded


def decode(kind: bytes, meta: bytes | bytearray | memoryview) -> Message:
    """Return the message of a frame. Raises ProtocolError for anything else."""
    try:
        fields = _fields(meta)
        cls = CLASSES[kind]
        if cls is Job:
            task = fields["task"]
            fields["task"] = _build(TASKS[task.pop("")], task)
        return _build(cls, fields)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"not a message: {type(error).__name__}") from None


def _fields(meta: bytes | bytearray | memoryview) -> Any:
    try:
        return orjson.loads(meta)  # there are no integers over 64 bits to look for
    except orjson.JSONDecodeError:  # lone surrogates
        return json_codec.loads(meta)


_Built = TypeVar("_Built")


def _build(cls: type[_Built], fields: dict[str, Any]) -> _Built:
    """Make a dataclass of its fields, each of the type it should have. Raises TypeError."""
    types = _field_types(cls)
    if fields.keys() - types.keys():
        raise TypeError("unknown field")
    for name, value in fields.items():
        expected = types[name]
        if expected is Reference:
            fields[name] = _build(Reference, value)
        elif expected is not None and type(value) is not expected:
            raise TypeError(name)
    return cls(**fields)


def _field_types(cls: type) -> dict[str, type | None]:
    found = _FIELD_TYPES.get(cls)
    if found is None:
        hints = get_type_hints(cls)
        found = {
            each.name: None
            if hints[each.name] is Task
            else get_origin(hints[each.name]) or hints[each.name]
            for each in dataclasses.fields(cls)
        }
        _FIELD_TYPES[cls] = found
    return found


_FIELD_TYPES: dict[type, dict[str, type | None]] = {}


def _is_name(text: str) -> bool:
    return text.isidentifier() and len(text) <= NAME_LIMIT


def _cut(text: str) -> str:
    return text if len(text) <= FACT_LIMIT else f"{text[: FACT_LIMIT - 1]}…"


def _error(name: str, facts: Sequence[Any]) -> TabPyError:
    try:
        return TabPyError.by_name[name](*facts)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"no such error: {name[:40]!r}") from error


# What web processes ask of the fork server, on the socket that they share: a worker, by FORK with
# the worker's end of its socket, or a shelf

REQUEST_LIMIT = 1 << 16  # bytes of a request
FORK = b"fork "  # before the key of the shelf that the worker is to come from; without one: none
LEAVE = getattr(signal, "SIGUSR2", signal.SIGTERM)  # to a fork server whose successor serves
READY = b"ready"  # fork server, on its pipe to the arbiter: a worker can be forked


def shelf_key(references: Iterable[Reference]) -> str:
    """Return what a shelf with these models is known by: the same for equal names and archives."""
    models = sorted((each.name, each.sha256) for each in references)
    return hashlib.blake2b(orjson.dumps(models), digest_size=KEY_SIZE).hexdigest()


def shelf_request(references: Sequence[Reference]) -> bytes:
    """Return the message that asks for a shelf with these models."""
    return orjson.dumps([vars(each) for each in references])


def shelf_references(request: bytes) -> list[Reference]:
    """Return what is to be on the shelf that a request asks for."""
    return [Reference(**each) for each in orjson.loads(request)]
