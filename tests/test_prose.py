"""The documents have one sentence on each line: a change of one shows as a change of one."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.test_documented import DOCUMENTS, ROOT

NOT_YET = {ROOT / "docs" / "architecture.md"}
CHECKED = [document for document in DOCUMENTS if document not in NOT_YET]
# What isn't prose: headings, tables, quoted text, pictures, link definitions and comments.
OTHER = re.compile(r"#|\||>|!\[|\[[^\]]+\]:|<")
ITEM = re.compile(r"(?:[-*]|\d+\.) +")
# A word or two in bold or italics that lead in, `**Why.** Because …`, are no sentence of their own.
LEAD = re.compile(r"(\*{1,2})[^*]{1,30}\1 +")
END = re.compile(r"[.!?][\"')\]*_]* +(?=[\"'(\[*_]*[A-Za-z`])")
ENDS = re.compile(r"[.!?:…][\"')\]*_]*$")
LONGEST = 35  # words in a sentence


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Each line of prose with its number, as it stands: no code, tables or headings."""
    fenced = False
    previous = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not (fenced or not line.strip() or is_code(line, previous) or OTHER.match(line)):
            yield number, line
        previous = line


def is_code(line: str, previous: str) -> bool:
    """Indented by four, and no more of a list's item."""
    return line.startswith("    ") and (not previous.strip() or previous.startswith("    "))


def sentences(line: str) -> list[str]:
    """The sentences of a line, without its list mark, its lead-in and its code."""
    text = re.sub(r"`[^`]*`", "`code`", ITEM.sub("", line.strip(), count=1))
    return END.split(LEAD.sub("", text, count=1))


def lines_of(document: Path) -> list[tuple[int, str]]:
    return list(prose(document.read_text(encoding="utf-8")))


documents = pytest.mark.parametrize(
    "document", CHECKED, ids=lambda path: str(path.relative_to(ROOT))
)


@documents
def test_no_line_has_two_sentences(document: Path) -> None:
    assert [(number, line) for number, line in lines_of(document) if len(sentences(line)) > 1] == []


@documents
def test_no_sentence_is_on_two_lines(document: Path) -> None:
    lines = lines_of(document)
    assert [
        line
        for line, following in pairwise(lines)
        if following[0] == line[0] + 1  # the same paragraph
        and not ITEM.match(following[1].lstrip())
        and not ENDS.search(line[1])
    ] == []


@documents
def test_no_sentence_is_too_long(document: Path) -> None:
    assert [line for line in lines_of(document) if len(line[1].split()) > LONGEST] == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("One sentence. Another one.", 2),
        ("- An item. And more.", 2),
        ("  It goes on (see [there](x.md)). `code` begins the next.", 2),
        ("One question? *Yes.*", 2),
        ("It begins. curl asks for the password.", 2),
        ("**Why.** Because it is so.", 1),
        ("1. Press **Deploy**.", 1),
        ("It takes 0.4 s in version 3.0.0 of tabpy.", 1),
        ("The sections `[loggers]` … of Python's", 1),
        ("Write `a. B` and `…`; TabPy's names, such as `TABPY_…`, stay.", 1),
    ],
)
def test_sentences_are_told_apart(line: str, count: int) -> None:
    assert len(sentences(line)) == count


def test_code_tables_and_headings_are_no_prose() -> None:
    text = """# Heading. One.

Prose.

    code. Code.

| Cell. One. |

- Item.
  More of it.

```text
Code. Code.
```
"""
    assert [line for _, line in prose(text)] == ["Prose.", "- Item.", "  More of it."]
