"""GET /page/functions: all deployed functions."""

import asyncio
from dataclasses import dataclass
from typing import Any

from tabpy.tabpy_server.functions.store.endpoint import ALIAS, Endpoint
from tabpy.tabpy_server.metrics.function_figures import Figures
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler

LONGEST = 140  # characters of a description


@dataclass(frozen=True)
class Row:
    """A function in short. `broken`: why it can't be loaded, or ""."""

    name: str
    version: int
    description: str
    alias_of: str | None
    is_public: bool
    modified: int
    broken: str
    figures: Figures


class FunctionsView(ViewHandler):
    route = "/page/functions"
    entry = navigation.FUNCTIONS
    template = "functions.html"
    module = "functions.js"

    async def values(self, *parts: str) -> dict[str, Any]:
        endpoints = await self.context.catalog.endpoints()
        rows = await asyncio.to_thread(
            lambda: [_row(self.context, each) for _, each in sorted(endpoints.items())]
        )
        return {"rows": rows, "url": self.visit.own_url}


def in_short(text: str) -> str:
    """Return a text's beginning on one line."""
    line = " ".join(text[: 2 * LONGEST].split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _row(context: Context, endpoint: Endpoint) -> Row:
    metadata = endpoint.metadata
    alias_of = metadata.target if metadata.type == ALIAS else None
    return Row(
        endpoint.name,
        endpoint.version,
        in_short(metadata.description),
        alias_of,
        metadata.is_public,
        endpoint.last_modified_time,
        context.catalog.broken.get(alias_of or endpoint.name, ""),
        context.function_figures.of(endpoint.name),
    )
