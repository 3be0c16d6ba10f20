"""The script worker: what /evaluate does with a request's body.

The body's script is the body of a function that gets `tabpy`, `_arg1` … `_argN`. It is parsed as it
is and moved into that function as a syntax tree, so its text reaches Python unchanged: re-indenting
text would alter the strings in it, and line numbers with it.
"""

import __future__

import ast
import builtins
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.json_codec import json_type, loads
from tabpy.tabpy_server.workers.worker import failures, function, results
from tabpy.tabpy_server.workers.worker.models import Models

FAILED = "Error processing script"
FUNCTION = "_user_script"


def evaluate(body: bytes | memoryview, models: Models) -> bytes:
    """Run the script in a body of Tableau's form; its result as JSON.

    Raises RequestError: 400 for a body that isn't right, 500 for whatever the script raised.
    """
    script, arguments = _parse(body)
    values = [arguments[name] for name in _names(len(arguments))]
    variables: dict[str, Any] = {"__name__": "script", "__builtins__": builtins.__dict__.copy()}
    try:
        exec(_compile(script, len(values)), variables)  # noqa: S102 - what this server is for
        return results.encode(variables[FUNCTION](function.TabPy(models), *values))
    except BaseException as error:  # noqa: BLE001 - the border: a script may raise anything
        raise RequestError(500, FAILED, failures.describe(error, script)) from None


def _parse(body: bytes | memoryview) -> tuple[str, Mapping[str, Any]]:
    try:
        request = loads(body)
    except (ValueError, RecursionError) as problem:
        raise RequestError(400, "Request body is not valid JSON.", str(problem)) from None
    if not isinstance(request, dict):
        raise RequestError(
            400,
            "Request body is not a JSON object.",
            f'Expected {{"script": "...", "data": {{...}}}}, got {json_type(request)}.',
        )
    script = request.get("script")
    if script is None or (isinstance(script, str) and not script.strip()):
        raise RequestError(400, "Script is empty.", 'The request has no text under "script".')
    if not isinstance(script, str):
        raise RequestError(
            400,
            "Script is not a text.",
            f'"script" is {json_type(script)}; it has to be a string.',
        )
    arguments = request.get("data")
    if arguments is None:
        if "dataPath" in request:
            raise RequestError(
                400, "Arrow is not enabled.", 'Send the data as "data": this server has no Flight.'
            )
        arguments = {}
    if not isinstance(arguments, dict):
        raise RequestError(
            400,
            "Script parameters need to be provided as a dictionary.",
            f'"data" is {json_type(arguments)}; expected {{"_arg1": [...], "_arg2": [...]}}.',
        )
    if arguments.keys() != set(_names(len(arguments))):
        raise RequestError(
            400,
            "Variables names should follow the format _arg1, _arg2, _argN",
            f"Expected {', '.join(_names(len(arguments)))}; got {', '.join(arguments)}.",
        )
    return script, arguments


@lru_cache(maxsize=64)
def _names(count: int) -> tuple[str, ...]:
    return tuple(f"_arg{number}" for number in range(1, count + 1))


@lru_cache(maxsize=256)
def _compile(script: str, argument_count: int) -> types.CodeType:
    """The module that defines the function; kept, since one dashboard sends one text many times."""
    tree = _syntax_tree(script)
    future = _take_future_imports(tree)
    parameters = ", ".join(("tabpy", *_names(argument_count)))
    module = ast.parse(f"def {FUNCTION}({parameters}): pass")
    if tree.body:
        module.body[0].body = tree.body  # type: ignore[attr-defined]
    code: types.CodeType = compile(
        module, failures.FILENAME, "exec", flags=future, dont_inherit=True
    )
    return code


def _syntax_tree(script: str) -> ast.Module:
    try:
        return ast.parse(script, failures.FILENAME)
    except IndentationError as problem:
        # Calculations are often written with every line indented. One line in front makes that
        # right without touching the text.
        try:
            block = ast.parse(f"if True:\n{script}", failures.FILENAME)
        except IndentationError:
            raise problem from None
        except SyntaxError as another:
            another.lineno = (another.lineno or 2) - 1
            raise
        if len(block.body) != 1:
            raise
    ast.increment_lineno(block, -1)
    return ast.Module(block.body[0].body, [])  # type: ignore[attr-defined]


def _take_future_imports(tree: ast.Module) -> int:
    """`from __future__ import …` at the top belongs to a module, not a function: as flags."""
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
