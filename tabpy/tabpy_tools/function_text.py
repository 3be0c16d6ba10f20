"""Functions as text: what makes an archive independent of the Python that wrote it.

Bytecode fits one minor version of Python, and a function's text most of them. So an archive has, in
place of each code object, the text of its function and what its surroundings add to it. Closures,
defaults, globals and attributes stay data.

Client and server compile a text in the same way, and run nothing for it: the function stands alone
in empty shells, without decorators, defaults and annotations.

Archives name `rebuilt`, `bytecode` and `as_made`: their arguments are part of the format.
"""

import __future__

import ast
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from tabpy.tabpy_tools import author_lines

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

FUTURES = {name: getattr(__future__, name).compiler_flag for name in __future__.all_feature_names}
PYTHON = "{}.{}".format(*sys.version_info)


class OtherPythonError(Exception):
    """What another Python made can't be made by this one. The text says what, and what to do."""


class FunctionText(NamedTuple):
    """The text of a function, and what of its surroundings its code depends on.

    `text`: a lambda's expression, or the whole lines of a `def` with its decorators. It begins at
    `line` and, in bytes, `column` of `place`, which is a file's name or a cell, for messages.
    `class_name`: the class around it, for private names and `super()`; "" for none. `imports`:
    global names that are imported beside it, since calls of what they hold are compiled
    otherwise. `futures`: names of `__future__`.
    """

    text: str
    line: int
    column: int
    place: str
    name: str
    qualified_name: str
    free_variables: tuple[str, ...]
    class_name: str
    nested: bool
    imports: tuple[str, ...]
    futures: tuple[str, ...]

    def compiled(self, label: str) -> types.CodeType:
        """Return the function's code, from a file `label`.

        Raises SyntaxError, ValueError, RecursionError or MemoryError, as `compile` does.
        """
        flags = 0
        for name in self.futures:
            flags |= FUTURES.get(name, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its author has seen them
            shells, depth = self._in_shells(self._parsed(label, flags))
            code: types.CodeType = compile(shells, label, "exec", flags, dont_inherit=True)
        for _ in range(depth):
            code = next(each for each in code.co_consts if isinstance(each, types.CodeType))
        return _renamed(code, self.qualified_name)

    def _parsed(self, label: str, flags: int) -> FunctionNode:
        is_lambda = self.name == "<lambda>"
        if is_lambda:
            source = f"(\n{' ' * self.column}{self.text}\n)"
        else:
            source = f"if 1:\n{self.text}" if self.text[0].isspace() else f"\n{self.text}"
        # Empty lines are the quickest way to right line numbers. The text is on the source's second
        # line, so on the first of all it needs the nodes moved.
        source = "\n" * (self.line - 2) + source
        tree: Any = compile(source, label, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        if self.line == 1:
            ast.increment_lineno(tree, -1)
        node = tree.body[0]
        if is_lambda:
            node = node.value
        elif isinstance(node, ast.If):
            node = node.body[0]
        return _bare(node)

    def _in_shells(self, function: FunctionNode) -> tuple[ast.Module, int]:
        """Return a module with the function in it, and how deep its code is."""
        body: list[ast.stmt] = [function] if isinstance(function, ast.stmt) else []
        if isinstance(function, ast.Lambda):
            body = [ast.copy_location(ast.Expr(function), function)]
        depth = 1
        if self.class_name:
            body = _shell(f"class {self.class_name}: pass", body)
            depth += 1
        outer = [name for name in self.free_variables if name != "__class__"]
        if self.nested or outer:
            own = self.class_name or self.name
            if own.isidentifier() and own not in outer:  # else its own name would be free, too
                body = [*ast.parse(f"global {own}").body, *body]
            body = _shell(f"def surroundings({', '.join(outer)}): pass", body)
            depth += 1
        imports = ast.parse(f"import {', '.join(self.imports)}").body if self.imports else []
        return ast.Module([*imports, *body], []), depth


def rebuilt(*fields: Any) -> types.CodeType:
    """Return the code of a `FunctionText`, whose lines `linecache` knows from now on.

    Raises OtherPythonError for a text that this Python can't compile, or understands otherwise.
    """
    text = FunctionText(*fields)
    label = author_lines.new_label(text.place, text.line)
    try:
        code = text.compiled(label)
    except SyntaxError as error:
        raise OtherPythonError(
            f"{text.name!r} uses syntax that Python {PYTHON} doesn't have: {error.msg}, line "
            f"{error.lineno} of {text.place}. This server runs {PYTHON}: write it otherwise, or "
            "deploy to a server with a later Python."
        ) from None
    if code.co_freevars != text.free_variables:
        raise OtherPythonError(
            f"{text.name!r} has other free variables in Python {PYTHON}, {_listed(code)}, than "
            f"where it was made: {', '.join(text.free_variables) or 'none'}."
        )
    author_lines.keep(code, text.text, text.line, text.column)
    return code


def bytecode(python: str, name: str, *arguments: Any) -> types.CodeType:
    """Return the code that `types.CodeType` makes of the arguments, if `python` is this one's.

    Raises OtherPythonError otherwise.
    """
    check_python(python, name)
    return types.CodeType(*arguments)


def as_made(python: str, name: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """Return `make(*arguments)`, whose arguments hold bytecode, if `python` is this one's.

    Raises OtherPythonError otherwise.
    """
    check_python(python, name)
    return make(*arguments)


def check_python(python: str, name: str) -> None:
    """Raise OtherPythonError if bytecode of the function `name` is of another minor version."""
    if python != PYTHON:
        raise OtherPythonError(
            f"{name!r} was compiled by Python {python} and its text isn't known; this server runs "
            f"{PYTHON}: deploy it from Python {PYTHON}, or with this server's client from a file "
            "or a notebook's cell, whose text the client sends."
        )


def _bare(function: Any) -> FunctionNode:
    """Take away what isn't in the function's own code: it belongs to the code around it."""
    arguments = function.args
    arguments.defaults = []
    arguments.kw_defaults = [None] * len(arguments.kwonlyargs)
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    for argument in [*every, arguments.vararg, arguments.kwarg]:
        if argument is not None:
            argument.annotation = None
    if not isinstance(function, ast.Lambda):
        function.returns = None
        function.type_params = []
        # The code's first line is that of the first decorator.
        function.decorator_list = [
            ast.copy_location(ast.Constant(None), each) for each in function.decorator_list[:1]
        ]
    return function  # type: ignore[no-any-return]


def _shell(text: str, body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the class or function of the text, with this body."""
    shell: Any = ast.parse(text).body[0]
    shell.body = body
    return [shell]


def _renamed(code: types.CodeType, name: str) -> types.CodeType:
    """Return the code with this qualified name, and what is in it with names that follow from it.

    Before Python 3.11, code has none.
    """
    if not hasattr(code, "co_qualname"):
        return code

    def follow(constant: Any) -> Any:
        if not isinstance(constant, types.CodeType):
            return constant
        each: Any = constant  # the types of Python 3.10 don't know the names
        own = each.co_qualname
        own = name + own[len(old) :] if f"{own}.".startswith(f"{old}.") else own
        return each.replace(co_qualname=own, co_consts=tuple(map(follow, each.co_consts)))

    old = code.co_qualname
    renamed: types.CodeType = follow(code)
    return renamed


def _listed(code: types.CodeType) -> str:
    return ", ".join(code.co_freevars) or "none"
