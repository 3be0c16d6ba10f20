"""GET /page/docs, GET /page/docs/NAME: the server's own documents, of its own version."""

import asyncio
import re
from functools import cache
from typing import Any

from tornado.web import HTTPError

from tabpy.tabpy_server.package_files import documents
from tabpy.tabpy_server.web.page import markdown, navigation
from tabpy.tabpy_server.web.page.view import ViewHandler

# Those for people who use the server first, in the order in which they need them.
ORDER = (
    "deploying",
    "client",
    "troubleshooting",
    "operating",
    "many-machines",
    "settings",
    "rest",
    "from-tabpy",
    "architecture",
)
NAME = re.compile("[a-z-]+")


class DocumentsView(ViewHandler):
    route = "/page/docs"
    entry = navigation.DOCUMENTATION
    template = "documents.html"

    async def values(self, *parts: str) -> dict[str, Any]:
        return {"documents": await asyncio.to_thread(titles)}


class DocumentView(ViewHandler):
    route = "/page/docs/{name}"
    entry = navigation.DOCUMENTATION
    template = "document.html"

    @property
    def title(self) -> str:
        return self.path_args[0].capitalize()

    async def values(self, *parts: str) -> dict[str, Any]:
        [name] = parts
        if name not in texts():
            raise HTTPError(404)
        return {"document": await asyncio.to_thread(_as_html, name)}


@cache
def texts() -> dict[str, str]:
    """Return the documents by name; none where they weren't installed."""
    folder = documents()
    found = {} if folder is None else {file.stem: file for file in folder.glob("*.md")}
    known = sorted(found, key=lambda each: ORDER.index(each) if each in ORDER else len(ORDER))
    return {name: found[name].read_text(encoding="utf-8") for name in known}


def titles() -> list[tuple[str, str, str]]:
    """Return name, title and beginning of each document."""
    return [(name, markdown.title(text), _beginning(text)) for name, text in texts().items()]


@cache
def _as_html(name: str) -> str:
    return markdown.html(texts()[name], _address)


def _beginning(text: str) -> str:
    prose = (line for line in text.splitlines()[1:] if line[:1].isalnum())
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", next(prose, "")).replace("`", "")


def _address(target: str) -> str | None:
    """Return where a link of a document leads to from the view of one."""
    if target.startswith(("https://", "#")):
        return target
    file, mark, heading = target.partition("#")
    name = file.removesuffix(".md")
    return f"{name}{mark}{heading}" if NAME.fullmatch(name) and name in texts() else None
