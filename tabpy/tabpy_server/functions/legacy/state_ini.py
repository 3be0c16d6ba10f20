"""Reads TabPy's `state.ini` as TabPy 2.16.0 writes it, not as it reads it again.

    [Query Objects Service Versions]
    name = {"version": 1, "type": "model", ...}
    [Query Objects Docstrings]
    name = first line
    <tab>next line

configparser, with which TabPy reads it, strips the lines of docstrings, and a name with a leading
space or a lone "%" in a value stops it for good.
"""

import re
from pathlib import Path
from typing import NamedTuple

_SECTION = re.compile(r"\[(.+)\]\s*")
# Neither delimiter is ever in a name; a space is, apart from the one that TabPy adds.
_OPTION = re.compile(r"([^=:]*?)(?: ?[=:] ?(.*))?")
_OPTION_WITH_LEADING_SPACE = re.compile(r"( [\w -]*?) = (.*)", re.ASCII)
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


class LegacyState(NamedTuple):
    """By the name of the function: its entry, which should be a JSON object, and its docstring."""

    entries: dict[str, str]
    docstrings: dict[str, str]


def read(file: Path) -> LegacyState:
    """Return what the file says of functions: nothing if there is no such file. Raises OSError."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return LegacyState({}, {})
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what TabPy writes on Windows
    sections = _sections(text)
    docstrings = sections.get("Query Objects Docstrings", {})
    return LegacyState(
        sections.get("Query Objects Service Versions", {}),
        {name: _docstring(stored) for name, stored in docstrings.items()},
    )


def _sections(text: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, list[str]]] = {}
    options: dict[str, list[str]] = {}
    value: list[str] = []
    blank_lines = 0  # part of the value if more of it follows
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line:
            blank_lines += 1
            continue
        if section := _SECTION.fullmatch(line):
            options = sections.setdefault(section[1], {})
            value = []
        elif option := _option(line):
            value = options[option[1]] = [option[2] or ""]
        elif line[0] not in "#;":
            value += [""] * blank_lines + [line.removeprefix("\t")]
        blank_lines = 0
    return {
        section: {
            name: "\n".join(lines).replace("%%", "%")  # configparser's escape
            for name, lines in options.items()
        }
        for section, options in sections.items()
    }


def _option(line: str) -> re.Match[str] | None:
    """Return the name and value that a line begins; None for a comment or more of a value."""
    if line[0] == " ":
        return _OPTION_WITH_LEADING_SPACE.fullmatch(line)
    return None if line[0] in "\t#;" else _OPTION.fullmatch(line)


def _docstring(stored: str) -> str:
    """Return the docstring as its author wrote it, as far as that is left.

    At each reading and writing TabPy decodes backslash escapes, and takes UTF-8 for Latin-1. That
    is undone a line at a time: a restart may cut a line in the middle of its last character.
    """
    text = "\n".join(_unmangled(line) for line in stored.split("\n"))
    return re.sub(r"\\[nt\\]", lambda escape: _ESCAPES[escape[0]], text)


def _unmangled(text: str) -> str:
    while not text.isascii():
        try:
            text = text.encode("latin-1").decode()
        except UnicodeError:
            break
    return text
