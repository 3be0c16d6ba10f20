"""What the page's views have in common: the layout, the rules for the browser, the way back."""

import asyncio
from typing import Any, ClassVar

from tabpy import __version__
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.headers import host_and_port
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.page import files, navigation
from tabpy.tabpy_server.web.page.navigation import Entry
from tabpy.tabpy_server.web.schemas import HTML, TEXT

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

SHOWN = operation(
    "Show a view of the page", Reply(200, "It", TEXT, content_type=HTML), errors=(404,)
)


def utf8(text: str | bytes) -> bytes:
    """Return a text as templates write it, in place of tornado's own, which raises for half of a
    surrogate pair: JSON can have one, and so can what people deployed."""
    return text.encode("utf-8", "replace") if isinstance(text, str) else text


class ViewHandler(BaseHandler):
    """A view: its `template` inside the layout, with what `values` returns.

    `module` is its browser module, beside `shell.js`, which every view has.
    """

    entry: ClassVar[Entry]
    template: ClassVar[str]
    module: ClassVar[str | None] = None

    async def values(self, *parts: str) -> dict[str, Any]:
        """Return what the template shows. `parts`: those of the address. Raises TabPyError."""
        return {}

    @property
    def title(self) -> str:
        return self.entry.label

    @SHOWN
    async def get(self, *parts: str) -> None:
        values = await self.values(*parts)
        # On a thread: a thousand functions are many milliseconds of other people's requests.
        page = await asyncio.to_thread(
            self.render_string, self.template, _tt_utf8=utf8, **self._layout(), **values
        )
        self.set_header("Content-Security-Policy", POLICY)
        self.finish(page)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Return the name and the port by which the browser calls the server."""
        host, port = host_and_port(self.visit.host)
        return host, port or (443 if self.is_https else 80)

    @property
    def is_https(self) -> bool:
        """Tell whether the browser reaches the server by https."""
        return self.visit.protocol == "https"

    def _layout(self) -> dict[str, Any]:
        context = self.context
        return {
            "service": context.service,
            "server_version": __version__,
            "host": self.host_and_port[0],
            "user": self.user,
            "rights": self.person.rights,
            "title": self.title,
            "entry": self.entry,
            "entries": navigation.entries_for(
                self.person.rights, evaluates=context.settings.evaluate_enable
            ),
            "root": self.visit.way_to_root,
            "file": lambda name: self.visit.way_to_root + files.address(name),
            "module": self.module,
        }
