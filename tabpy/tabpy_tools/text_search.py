"""The search for a function's text, which counts only if it gives the very code there is.

So an edited file, a stale cell or a function that was changed since can't be sent by mistake.
"""

import ast
import bisect
import linecache
import os
import re
import sys
import types
import warnings
from collections.abc import Hashable, Iterator
from functools import cached_property
from typing import Any

from tabpy.tabpy_tools.function_text import FUTURES, FunctionNode, FunctionText

_NESTED = 0x10  # CO_NESTED in CPython's Include/cpython/code.h
_UNCOMPILED = (SyntaxError, ValueError, RecursionError, MemoryError)
_PARTS = (
    "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_argcount",
    "co_posonlyargcount", "co_kwonlyargcount", "co_stacksize", "co_name", "co_firstlineno",
    "co_qualname", "co_exceptiontable",  # these two from Python 3.11 on
)  # fmt: skip


def file_of(code: types.CodeType) -> str | None:
    """Return the name of the file that the code says it is from, None where there is no such file.

    Where no text of it compiles to the code, it has probably changed since it was imported.
    """
    there = os.path.isfile(code.co_filename)  # noqa: PTH113 - the name may be any text
    return _place(code.co_filename) if there else None


class TextSearch:
    """Finds texts of functions; reads a file once, however many of its functions are asked for."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def text_of(self, code: types.CodeType) -> FunctionText | None:
        """Return the text that compiles to `code`, or None.

        Looks at what Python remembers of the file or cell first, then at the file as it is now.
        """
        name = code.co_filename
        remembered = linecache.getlines(name)
        found = self._file(name, remembered).text_of(code)
        if found is None:
            linecache.checkcache(name)
            now = linecache.getlines(name)
            found = self._file(name, now).text_of(code) if now != remembered else None
        if found is None and name == "<timed exec>":  # of all cells that begin with %%time
            found = next(filter(None, (cell.text_of(code) for cell in self._timed_cells)), None)
        return found

    @cached_property
    def _timed_cells(self) -> "list[_File]":
        """The bodies of `%%time` cells that have run, the last first: nothing else has them."""
        shell = _ipython()
        inputs = shell.history_manager.input_hist_raw[::-1] if shell else []
        bodies = [text.partition("\n")[2] for text in inputs if text.startswith("%%time")]
        return [
            _File(shell.transform_cell(body).splitlines(keepends=True), "cell") for body in bodies
        ]

    def _file(self, name: str, lines: list[str]) -> "_File":
        file = self._files.get(name)
        if file is None or file.lines is not lines:
            file = self._files[name] = _File(lines, _place(name))
        return file


class _File:
    """A file or a notebook's cell. `place` is its name for messages."""

    def __init__(self, lines: list[str], place: str) -> None:
        self.lines = lines
        self._place = place

    def text_of(self, code: types.CodeType) -> FunctionText | None:
        """Return the text of it that compiles to `code`, or None."""
        if self._tree is None:
            return None
        wanted = essence(code)
        for node, class_name in _functions(self._statements_at(code.co_firstlineno), "", code):
            plain = self._text(node, class_name, code)
            imported = tuple(sorted(self._imported & _names(code)))
            # IPython compiles each statement of a cell apart from the cell's imports.
            for text in (plain._replace(imports=imported), plain) if imported else (plain,):
                try:
                    if essence(text.compiled("")) == wanted:
                        return text
                except _UNCOMPILED:
                    continue
        return None

    @cached_property
    def _tree(self) -> ast.Module | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its author has seen them
            try:
                return ast.parse("".join(self.lines))
            except _UNCOMPILED:
                return None

    def _statements_at(self, line: int) -> ast.Module:
        """Return the statements that can reach the line: a file may have thousands."""
        statements = self._tree.body if self._tree else []
        after = bisect.bisect_right(self._first_lines, line)
        begun = self._first_lines[after - 1] if after else 0
        # Several can begin on one line, and the one before them end there.
        first = bisect.bisect_left(self._first_lines, begun) - 1
        return ast.Module(statements[max(first, 0) : after], [])

    @cached_property
    def _first_lines(self) -> list[int]:
        return [_first_line(each) for each in self._tree.body] if self._tree else []

    @cached_property
    def _imported(self) -> frozenset[str]:
        """The global names that the file imports."""
        names: set[str] = set()
        waiting: list[Any] = [self._tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Import | ast.ImportFrom):
                names.update((each.asname or each.name).partition(".")[0] for each in node.names)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                    waiting += getattr(node, block, ())
        return frozenset(names - {"*"})

    def _text(self, node: FunctionNode, class_name: str, code: types.CodeType) -> FunctionText:
        lines, first, last = self.lines, _first_line(node), node.end_lineno or 0
        if isinstance(node, ast.Lambda):
            column = node.col_offset
            whole = [line.encode() for line in lines[first - 1 : last]]
            whole[-1] = whole[-1][: node.end_col_offset]
            whole[0] = whole[0][column:]
            text = b"".join(whole).decode()
        else:
            column = 0
            if node.decorator_list:  # its "@" can be on a line before
                while first > 1 and not lines[first - 1].lstrip().startswith("@"):
                    first -= 1
            text = "".join(lines[first - 1 : last]).rstrip("\n")
        return FunctionText(
            text=text,
            line=first,
            column=column,
            place=self._place,
            name=code.co_name,
            qualified_name=getattr(code, "co_qualname", code.co_name),
            free_variables=code.co_freevars,
            class_name=class_name,
            nested=bool(code.co_flags & _NESTED),
            imports=(),
            futures=tuple(name for name, flag in FUTURES.items() if code.co_flags & flag),
        )


def _functions(
    node: ast.AST, class_name: str, code: types.CodeType
) -> Iterator[tuple[FunctionNode, str]]:
    """Yield the functions of the code's name and first line below `node`, and the class of each."""
    for child in ast.iter_child_nodes(node):
        last = getattr(child, "end_lineno", None)  # some nodes have no lines, and children that do
        if last is not None and not _first_line(child) <= code.co_firstlineno <= last:
            continue
        if (
            isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            and getattr(child, "name", "<lambda>") == code.co_name
            and _first_line(child) == code.co_firstlineno
        ):
            yield child, class_name
        inside = child.name if isinstance(child, ast.ClassDef) else class_name
        yield from _functions(child, inside, code)


def _first_line(node: Any) -> int:
    """Return a node's first line, which is that of its first decorator if it has any."""
    nodes = [node, *getattr(node, "decorator_list", ())]
    return min(int(each.lineno) for each in nodes)


def _names(code: types.CodeType) -> frozenset[str]:
    """Return all names in the code and the functions in it.

    Local ones too: a call of `result.run()` is compiled otherwise where the file imports another
    `result`.
    """
    inner = (_names(each) for each in code.co_consts if isinstance(each, types.CodeType))
    own = frozenset((*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars))
    return own.union(*inner)


def essence(value: object) -> Hashable:
    """Return what makes a constant what it is: for code, all but the name of its file.

    Equal constants can differ, as True, 1 and 1.0 do, or 0.0 and -0.0.
    """
    if isinstance(value, types.CodeType):
        parts = [getattr(value, name, None) for name in _PARTS]
        constants = value.co_consts
        if not hasattr(value, "co_qualname"):  # before Python 3.11
            constants = _without_qualified_names(constants)
        return *parts, tuple(value.co_lines()), essence(constants)
    if isinstance(value, tuple):
        return tuple, *map(essence, value)
    if isinstance(value, frozenset):
        return frozenset, frozenset(map(essence, value))
    if isinstance(value, slice):  # from Python 3.14 on
        return slice, essence((value.start, value.stop, value.step))
    if isinstance(value, float | complex):
        return type(value), repr(value)
    return type(value), value


def _without_qualified_names(constants: tuple[object, ...]) -> tuple[object, ...]:
    """Return a code's constants but for where the functions in it are, of which Python 3.10's code
    objects know nothing themselves."""
    ends = tuple(
        f".<locals>.{each.co_name}" for each in constants if isinstance(each, types.CodeType)
    )
    return tuple(
        each.rpartition(".<locals>.")[1:] if isinstance(each, str) and each.endswith(ends) else each
        for each in constants
    )


def _ipython() -> Any:
    """Return IPython's shell where this is a notebook, else None."""
    ipython: Any = sys.modules.get("IPython")
    return ipython and ipython.get_ipython()


def _place(filename: str) -> str:
    """Return a file's name, or which cell of a notebook it is: nothing of this machine."""
    compiler = getattr(_ipython(), "compile", None)
    number = getattr(compiler, "_filename_map", {}).get(filename)
    if number is None and (old := re.match(r"<ipython-input-(\d+)-", filename)):
        number = old[1]
    if number is not None:
        return f"cell {number}"
    if "ipykernel" in filename:
        return "cell"
    if filename.startswith("<"):
        return filename.strip("<>")
    return re.split(r"[/\\]", filename)[-1]
