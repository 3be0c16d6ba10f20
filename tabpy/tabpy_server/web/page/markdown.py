"""The server's documents as HTML: the part of Markdown in which they are written.

Headings, paragraphs, lists, tables, quotations and code; in a line code, emphasis and links. What
isn't understood is shown as the text that it is.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from tornado.escape import xhtml_escape

HEADING = re.compile(r"(#{1,6}) +(.*)")
ITEM = re.compile(r"( *)([-*]|\d+\.) +(?=\S)")
FENCE = "```"
IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
CODE = re.compile(r"(`+)(.+?)\1")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
BOLD, ITALIC = re.compile(r"\*\*(.+?)\*\*"), re.compile(r"\*(\S(?:.*?\S)?)\*")
CELLS = re.compile(r"(?<!\\)\|")

Address = Callable[[str], str | None]


def html(text: str, address: Address) -> str:
    """Return a document as HTML. `address` says where a link leads to, None: nowhere from here."""
    return "\n".join(_blocks(text.splitlines(), address))


def line(text: str) -> str:
    """Return the HTML of a line without links."""
    return _inline(text, lambda _: None)


def title(text: str) -> str:
    """Return what a document is called, as text; "" for one without a heading."""
    found = HEADING.match(text)
    return found[2] if found else ""


def anchor(heading: str) -> str:
    """Return a heading's id, which is GitHub's: links in the documents name it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _blocks(lines: list[str], address: Address) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if not line.strip() or line.startswith("<!--"):
            pass
        elif line.startswith(FENCE):
            end = _until(lines, end, lambda each: each.startswith(FENCE))
            yield _code(lines[at + 1 : end])
            end += 1
        elif line.startswith("    "):
            end = _until(lines, end, lambda each: each.strip() and not each.startswith("    "))
            yield _code(each[4:] for each in _without_end(lines[at:end]))
        elif found := HEADING.match(line):
            level = len(found[1])
            yield f'<h{level} id="{anchor(found[2])}">{_inline(found[2], address)}</h{level}>'
        elif line.startswith("|"):
            end = _until(lines, end, lambda each: not each.startswith("|"))
            yield _table(lines[at:end], address)
        elif line.startswith(">"):
            end = _until(lines, end, lambda each: not each.startswith(">"))
            quoted = [each[1:].removeprefix(" ") for each in lines[at:end]]
            yield f"<blockquote>{''.join(_blocks(quoted, address))}</blockquote>"
        elif ITEM.match(line):
            end = _until(lines, end, lambda each: each[:1].strip() and not ITEM.match(each))
            yield _list(_without_end(lines[at:end]), address)
        else:
            end = _until(lines, end, _ends_paragraph)
            words = IMAGE.sub("", " ".join(each.strip() for each in lines[at:end]))
            if words.strip():
                yield f"<p>{_inline(words, address)}</p>"
        at = end


def _ends_paragraph(line: str) -> bool:
    return not line.strip() or line.startswith(("#", "|", ">", FENCE)) or bool(ITEM.match(line))


def _until(lines: list[str], at: int, ends: Callable[[str], object]) -> int:
    """Return the number of the first line from `at` on that `ends` is true of."""
    return next((n for n in range(at, len(lines)) if ends(lines[n])), len(lines))


def _without_end(lines: list[str]) -> list[str]:
    """Return them without the blank ones at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _code(lines: Iterable[str]) -> str:
    text = xhtml_escape("\n".join(lines))
    return f'<pre tabindex="0" role="region" aria-label="Code">{text}</pre>'


def _list(lines: list[str], address: Address) -> str:
    """Return a list; an item goes on in lines that are indented as far as its text."""
    items: list[list[str]] = []
    kind = "ol" if lines[0].lstrip()[0].isdigit() else "ul"
    for line in lines:
        found = ITEM.match(line)
        if found and not found[1]:
            width = found.end()
            items.append([line[width:]])
        else:
            items[-1].append(line[width:] if not line[:width].strip() else line.lstrip())
    return f"<{kind}>{''.join(_item(each, address) for each in items)}</{kind}>"


def _item(lines: list[str], address: Address) -> str:
    blocks = [*_blocks(lines, address)]
    if len(blocks) > 1 and all(each.startswith("<p>") for each in blocks[1:]):
        return f"<li>{''.join(blocks)}</li>"
    first = re.sub("^<p>(.*)</p>$", r"\1", blocks[0]) if blocks else ""
    return f"<li>{''.join([first, *blocks[1:]])}</li>"


def _table(lines: list[str], address: Address) -> str:
    rows = [
        [_inline(cell.strip().replace("\\|", "|"), address) for cell in CELLS.split(line)[1:-1]]
        for line in lines
        if not re.fullmatch(r"[|:\- ]+", line)
    ]
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[1:])
    return (
        '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _inline(text: str, address: Address) -> str:
    """Return a line's HTML. Code comes first: nothing in it means anything."""
    parts = []
    at = 0
    for found in CODE.finditer(text):
        parts.append((text[at : found.start()], found[2].strip()))
        at = found.end()
    parts.append((text[at:], ""))
    # Links may have code in their words: code stands for itself by a character that no text has.
    marked = "\0".join(before for before, _ in parts)
    made = LINK.sub(lambda link: _link(link[1], link[2], address), xhtml_escape(marked))
    made = ITALIC.sub(r"<em>\1</em>", BOLD.sub(r"<strong>\1</strong>", made))
    codes = iter([code for _, code in parts])
    return re.sub("\0", lambda _: f"<code>{xhtml_escape(next(codes))}</code>", made)


def _link(words: str, target: str, address: Address) -> str:
    where = address(target)
    return words if where is None else f'<a href="{xhtml_escape(where)}">{words}</a>'
