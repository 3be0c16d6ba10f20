"""The script worker: what /evaluate does with a request's body.

The body's script is the body of a function that gets `tabpy`, `_arg1` … `_argN`. It is parsed as it
is and moved into that function as a syntax tree, so its text reaches Python unchanged: re-indenting
text would alter the strings in it, and line numbers with it.
"""

import __future__

import ast
import builtins
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from tabpy.tabpy_server.errors import InvalidInputError, ScriptFailedError
from tabpy.tabpy_server.json_codec import json_type
from tabpy.tabpy_server.workers.worker import (
    account,
    free_names,
    function,
    numpy_arguments,
    results,
)
from tabpy.tabpy_server.workers.worker.failures import FILENAME
from tabpy.tabpy_server.workers.worker.models import Models
from tabpy.tabpy_server.workers.worker.request import Request
from tabpy.tabpy_server.workers.worker.request_body import Body, read
from tabpy.tabpy_server.workers.worker.results import Piece
from tabpy.tabpy_server.workers.worker.tables import Tables

FUNCTION = "_user_script"
# Python's limit while a script is parsed: generated calculations have a thousand terms. Python 3.11
# needs it for them, and has stack enough for it; 3.12 keeps to a limit of its own.
DEEPEST = 5000
SHOWN = 1000  # characters of the names in a message


class Form(NamedTuple):
    """`take` takes the result's JSON in pieces, and returns what is to be returned. `as_numpy`: the
    arguments are numpy's arrays, unless the script says otherwise."""

    take: Callable[[Iterable[Piece]], bytes] = b"".join
    as_numpy: bool = False

    def encode(self, value: Any) -> bytes:
        """Return what is to be returned for `value`. Raises UnfitError."""
        return self.take(results.pieces(value))


LISTS = Form()


def evaluate(
    body: Body,
    models: Models,
    sent_with: Request | None = None,
    tables: Tables | None = None,
    form: Form = LISTS,
) -> bytes:
    """Run the script in a body of Tableau's form; return its result as JSON. `sent_with`: what else
    it may know of its request. `tables`: has the Arrow table that the body may name. `form`: of
    arguments and result.

    Raises InvalidInputError, ScriptFailedError for whatever the script raised, and what `tables`
    raises.
    """
    request = _read(body)
    script = _script(request)
    if tables is None or request.get("dataPath") is None:
        values = _values(_arguments(request))
        asked = numpy_arguments.is_asked_for(script)
        if form.as_numpy if asked is None else asked:
            values = numpy_arguments.columns(values)
        request = {}  # they are large, and go with `values`
        return _run(script, values, models, sent_with, form.encode)
    with tables:
        try:
            table = tables.get(_data_path(request))
        except MemoryError as error:
            raise _failed(error, script) from None
        return _run(script, [table], models, sent_with, tables.put)


def _run(
    script: str,
    values: list[Any],
    models: Models,
    sent_with: Request | None,
    encode: Callable[[Any], bytes],
) -> bytes:
    """Run a script with `values`, which are gone then; return what `encode` makes of its result, or
    raises UnfitError for."""
    compiled = _compiled(script, len(values))
    variables: dict[str, Any] = {"__name__": "script", "__builtins__": builtins.__dict__.copy()}
    tabpy = function.TabPy(models, sent_with)
    try:
        if compiled.free_names:
            variables.update(free_names.load(compiled.free_names))
        exec(compiled.code, variables)  # noqa: S102 - what this server is for # nosec B102
        returned = variables[FUNCTION](tabpy, *values)
    except BaseException as error:  # noqa: BLE001 - the border: a script may raise anything
        raise tabpy.crash or _failed(error, script) from None
    if tabpy.crash is not None:
        raise tabpy.crash
    values.clear()
    try:
        return encode(returned)
    except results.UnfitError as error:
        raise _failed(error.reason(), script) from None


def _failed(error: BaseException, script: str) -> ScriptFailedError:
    told = account.of_script(error, script)
    out_of_memory = isinstance(error, MemoryError)
    return ScriptFailedError(told.info, trace=told.trace, at=told.at, out_of_memory=out_of_memory)


def _read(body: Body) -> Mapping[str, Any]:
    """Return the body's object. Raises InvalidInputError."""
    try:
        request = read(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("Request body is not valid JSON.", str(error)) from None
    if not isinstance(request, dict):
        raise InvalidInputError(
            "Request body is not a JSON object.",
            f'Expected {{"script": "...", "data": {{...}}}}, got {json_type(request)}.',
        )
    return request


def _values(arguments: Mapping[str, Any]) -> list[Any]:
    return [arguments[name] for name in _names(len(arguments))]


def _script(request: Mapping[str, Any]) -> str:
    script = request.get("script")
    if script is None or (isinstance(script, str) and not script.strip()):
        raise InvalidInputError("Script is empty.", 'The request has no text under "script".')
    if not isinstance(script, str):
        raise InvalidInputError(
            "Script is not a text.",
            f'"script" is {json_type(script)}; it has to be a string.',
        )
    return script


def _data_path(request: Mapping[str, Any]) -> str:
    path = request["dataPath"]
    if not isinstance(path, str):
        raise InvalidInputError(
            "The path of the table is not a text.",
            f'"dataPath" is {json_type(path)}; it has to be a string.',
        )
    return path


def _arguments(request: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = request.get("data")
    if arguments is None:
        if "dataPath" in request:
            raise InvalidInputError(
                "Arrow is not enabled.", 'Send the data as "data": this server has no Flight.'
            )
        arguments = {}
    if not isinstance(arguments, dict):
        raise InvalidInputError(
            "Script parameters need to be provided as a dictionary.",
            f'"data" is {json_type(arguments)}; expected {{"_arg1": [...], "_arg2": [...]}}.',
        )
    if arguments.keys() != set(_names(len(arguments))):
        raise InvalidInputError(
            "Variables names should follow the format _arg1, _arg2, _argN",
            f"Expected {_some(_names(len(arguments)))}; got {_some(arguments)}.",
        )
    return arguments


def _some(names: Iterable[str]) -> str:
    """Return names as a sentence has them, the first ones of very many."""
    listed = ", ".join(islice(names, SHOWN + 1))
    return f"{listed[:SHOWN]} …" if len(listed) > SHOWN else listed


@lru_cache(maxsize=64)
def _names(count: int) -> tuple[str, ...]:
    return tuple(f"_arg{number}" for number in range(1, count + 1))


class _Compiled(NamedTuple):
    """The module that defines the function, and the names that it uses without importing them."""

    code: types.CodeType
    free_names: tuple[str, ...]


def _compiled(script: str, argument_count: int) -> _Compiled:
    """Compile the script. Raises ScriptFailedError for what is no Python, or too much of it."""
    try:
        return _compile(script, argument_count)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise _failed(error, script) from None


@lru_cache(maxsize=256)
def _compile(script: str, argument_count: int) -> _Compiled:
    """Compile it once, since a dashboard sends it many times."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEEPEST))
    try:
        return _make(script, argument_count)
    finally:
        sys.setrecursionlimit(limit)


def _make(script: str, argument_count: int) -> _Compiled:
    tree = _syntax_tree(script)
    future = _take_future_imports(tree)
    parameters = ", ".join(("tabpy", *_names(argument_count)))
    module = ast.parse(f"def {FUNCTION}({parameters}): pass")
    if tree.body:
        module.body[0].body = tree.body  # type: ignore[attr-defined]
    code: types.CodeType = compile(module, FILENAME, "exec", flags=future, dont_inherit=True)
    return _Compiled(code, free_names.used_by(code))


def _syntax_tree(script: str) -> ast.Module:
    try:
        return ast.parse(script, FILENAME)
    except IndentationError as error:
        # Calculations are often written with every line indented. One line in front makes that
        # right without touching the text.
        try:
            block = ast.parse(f"if True:\n{script}", FILENAME)
        except IndentationError:
            raise error from None
        except SyntaxError as another:
            another.lineno = (another.lineno or 2) - 1
            raise another from None
        if len(block.body) != 1:
            raise
    ast.increment_lineno(block, -1)
    return ast.Module(block.body[0].body, [])  # type: ignore[attr-defined]


def _take_future_imports(tree: ast.Module) -> int:
    """Return as flags what `from __future__ import …` asks for: it belongs to a module, not a
    function."""
    flags = 0
    while tree.body and isinstance(first := tree.body[0], ast.ImportFrom):
        if first.module != "__future__":
            break
        for name in first.names:
            feature = getattr(__future__, name.name, None)
            if feature is None:
                break
            flags |= feature.compiler_flag
        del tree.body[0]
    return flags
