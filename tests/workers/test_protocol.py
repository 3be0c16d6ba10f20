"""Messages survive the way, and nothing else is taken for one."""

import ast
import random
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from tabpy.tabpy_server.errors import InvalidInputError, ScriptFailedError, TabPyError
from tabpy.tabpy_server.workers import protocol
from tabpy.tabpy_server.workers.protocol import (
    CLASSES,
    FAILURES,
    Answer,
    CheckArchive,
    Collect,
    Crash,
    Death,
    Evaluate,
    Failure,
    Hello,
    Job,
    MemoryFollows,
    Message,
    Need,
    NeedMemory,
    NeedTable,
    ProtocolError,
    Query,
    Reference,
    Refusal,
    Reply,
    TableFollows,
)

REFERENCE = Reference("a name", 2, "5ha", "/archive", "3.11.7")
MESSAGES: list[Message] = [
    Hello(7, "origin"),
    Job(Evaluate(), "token"),
    Job(Query(REFERENCE), "token", model_memory=1 << 40, want_printed=True),
    Job(Collect("/models"), "token"),
    Reply("etag", "printed \ud800 text", True, "trouble"),
    Failure("FunctionFailedError", ["a name", "why"], "printed", True, line=3, function="änders"),
    Crash("a traceback"),
    Need("a name\ud800", "5ha"),
    Answer(REFERENCE),
    Refusal("UnknownFunctionError", ["why"]),
    Job(Evaluate(has_tables=True), "token"),
    NeedTable("a path\ud800"),
    TableFollows(),
    Job(Evaluate(as_numpy=True), "token", in_memory=1 << 40),
    NeedMemory(),
    MemoryFollows(),
    Reply(in_memory=7),
    Death("ended with exit code 3"),
]


def decoded(encoded: bytes) -> Message:
    kind, meta_length, _ = protocol.HEADER.unpack_from(encoded)
    meta = encoded[protocol.HEADER.size :]
    assert len(meta) == meta_length
    return protocol.decode(kind, meta)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decoded(protocol.encode(message)) == message


def test_every_kind_of_message_is_tried_here() -> None:
    assert {type(each) for each in MESSAGES} == set(CLASSES.values())
    assert CheckArchive in protocol.TASK_NAMES


def test_a_message_has_the_length_of_its_body_in_front() -> None:
    assert protocol.HEADER.unpack_from(protocol.encode(Crash(""), 1 << 40))[2] == 1 << 40


@pytest.mark.parametrize(
    ("kind", "meta"),
    [
        (b"?", b"{}"),
        (b"C", b"[]"),
        (b"C", b"null"),
        (b"C", b"{}"),
        (b"C", b'{"trace": 5}'),
        (b"C", b'{"trace": "", "more": 1}'),
        (b"R", b'{"recycle": 1}'),
        (b"R", b'{"etag": null}'),
        (b"J", b'{"task": {"": "nosuch"}, "change_token": ""}'),
        (b"J", b'{"task": [], "change_token": ""}'),
        (b"J", b'{"change_token": ""}'),
        (b"A", b'{"reference": {"name": 5}}'),
        (b"A", b'{"reference": null}'),
        (b"C", b"\xff\xfe"),
        (b"C", b"[" * 100_000),
    ],
)
def test_what_is_not_a_message_is_refused(kind: bytes, meta: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode(kind, meta)


def test_nothing_that_comes_raises_anything_else() -> None:
    moments = random.Random(7)
    samples = [protocol.encode(each)[protocol.HEADER.size :] for each in MESSAGES]
    for _ in range(3_000):
        meta = bytearray(moments.choice(samples))
        for _ in range(moments.randrange(1, 4)):
            meta[moments.randrange(len(meta))] = moments.randrange(256)
        try:
            protocol.decode(moments.choice([*CLASSES]), bytes(meta))
        except ProtocolError:
            continue


@pytest.mark.parametrize("name", sorted(TabPyError.by_name))
def test_every_error_arrives_with_its_words(name: str) -> None:
    cls = TabPyError.by_name[name]
    error = example(cls)
    refusal = decoded(protocol.encode(Refusal.of(error)))
    assert isinstance(refusal, Refusal)
    arrived = refusal.error()
    assert type(arrived) is cls
    assert (arrived.message, arrived.info) == (error.message, error.info)
    assert arrived.message


@pytest.mark.parametrize("cls", FAILURES)
def test_what_a_worker_meets_arrives_with_its_words_and_what_was_printed(
    cls: type[TabPyError],
) -> None:
    error = example(cls)
    failure = decoded(protocol.encode(Failure.of(error, Reply("", "printed"))))
    assert isinstance(failure, Failure)
    arrived = failure.error()
    assert type(arrived) is cls
    assert (arrived.message, arrived.info) == (error.message, error.info)
    assert failure.printed == "printed"


OTHERS = sorted(set(TabPyError.by_name) - {each.__name__ for each in FAILURES})


@pytest.mark.parametrize("name", OTHERS)
def test_an_error_that_no_worker_meets_is_refused(name: str) -> None:
    error = example(TabPyError.by_name[name])
    with pytest.raises(ProtocolError):
        Failure(name, list(error.args)).error()


def raised_in(folder: Path) -> set[str]:
    """The names of our errors that modules of `folder` raise."""
    calls = (
        node
        for file in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call | ast.Raise)
    )
    names = {
        ast.unparse(each.func if isinstance(each, ast.Call) else each.exc or each) for each in calls
    }
    return names & set(TabPyError.by_name)


def test_what_workers_raise_is_what_they_may_send() -> None:
    # What looking up a name or a table raises comes back, when a worker can do nothing about it.
    looking_up = {"UnknownFunctionError", "NotLoadableError"}
    looking_up |= {"StoreUnavailableError", "DiskFullError"}
    looking_up |= {"UnknownTableError", "FlightUnavailableError"}
    raised = raised_in(Path(protocol.__file__).parent / "worker")
    assert raised | looking_up == {each.__name__ for each in FAILURES}


@pytest.mark.parametrize("facts", [[{"a": 1}, ""], [5], [None, None], ["x" * 16_385], [["x"]]])
def test_facts_are_short_texts(facts: list[object]) -> None:
    with pytest.raises(ProtocolError):
        Failure("InvalidInputError", facts).error()


@pytest.mark.parametrize(
    ("line", "function"),
    [(-1, ""), (protocol.LINES_LIMIT, ""), (1, "a secret"), (1, "x" * 81), (1, "f\nlevel=error")],
    ids=["before the first", "behind all", "words", "long", "a line of a log"],
)
def test_a_failure_is_at_a_line_and_in_a_name_or_no_worker_of_ours_said_so(
    line: int, function: str
) -> None:
    with pytest.raises(ProtocolError):
        Failure("ScriptFailedError", ["x : y"], line=line, function=function).error()


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ((3, "a secret"), (3, "")),
        ((None, "f"), (0, "f")),
        ((-3, "f"), (0, "f")),
        ((protocol.LINES_LIMIT, "f"), (0, "f")),
    ],
    ids=["no name", "no line", "before the first", "behind all"],
)
def test_what_code_that_somebody_made_says_of_its_place_is_left_out(at: Any, told: Any) -> None:
    assert Failure.of(ScriptFailedError("x : y", at=at), Reply()).error().at == told


def test_a_worker_cuts_what_is_too_long() -> None:
    error = InvalidInputError("x" * 1_000_000, "\ud800" * 1_000_000)
    encoded = protocol.encode(Failure.of(error, Reply()))
    assert len(encoded) < protocol.META_LIMIT
    failure = decoded(encoded)
    assert isinstance(failure, Failure)
    assert failure.error().message == "x" * 16_383 + "…"
    assert len(protocol.encode(Crash.of("trace" * 1_000_000))) < protocol.META_LIMIT


FACTS = {float: 1.5, int: 2, str: "text", list[int]: [1, 2], list[str]: ["query"]}


def example(cls: type[TabPyError]) -> TabPyError:
    """One with facts of the right types."""
    if "__init__" not in vars(cls):
        return cls()
    parameters = signature(cls).parameters.values()
    facts = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    hints = get_type_hints(cls.__init__)
    return cls(*(FACTS[hints[name]] for name in facts))


def test_an_error_that_there_is_not_is_refused() -> None:
    for name, facts in [("nosuch", []), ("JobTimeoutError", []), ("JobTimeoutError", [1, "x", 1])]:
        with pytest.raises(ProtocolError):
            Refusal(name, list(facts)).error()


def test_a_shelf_request_says_what_is_to_be_there() -> None:
    request = protocol.shelf_request([REFERENCE])
    assert protocol.shelf_references(request) == [REFERENCE]
