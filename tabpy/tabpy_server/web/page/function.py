"""GET /page/functions/NAME: one function, how to call it, and what may be done with it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import TabPyError
from tabpy.tabpy_server.functions import source_text
from tabpy.tabpy_server.functions.store.endpoint import ALIAS, Endpoint, Version
from tabpy.tabpy_server.rights import DEPLOY, EVALUATE, QUERY
from tabpy.tabpy_server.web.page import examples, navigation
from tabpy.tabpy_server.web.page.parameters import (
    as_json,
    parameters_of,
    positional_sample,
    result_of,
)
from tabpy.tabpy_server.web.page.view import ViewHandler


class FunctionView(ViewHandler):
    route = "/page/functions/{name}"
    entry = navigation.FUNCTIONS
    template = "function.html"
    module = "function.js"

    @property
    def title(self) -> str:
        return self.path_args[0]

    async def values(self, *parts: str) -> dict[str, Any]:
        from tabpy.tabpy_tools.calculation import (
            calculation_of_schema,  # the client's: slow to import
        )

        [name] = parts
        catalog, rights = self.context.catalog, self.person.rights
        endpoint = await catalog.endpoint(name)
        model = await self._model(endpoint)
        schema = endpoint.metadata.schema or (model.metadata.schema if model else None)
        parameters = parameters_of(schema)
        arguments: Any = {each.name: each.sample for each in parameters if each.is_required} or {
            each.name: each.sample for each in parameters
        }
        if not parameters:
            arguments = positional_sample(schema)
        versions: Sequence[Version] = ()
        if endpoint.archive is not None:
            _, versions = await catalog.run(lambda store: store.versions(name))
        return {
            "endpoint": endpoint,
            "model": model,
            "parameters": parameters,
            "as_json": as_json,
            "positional": None if parameters else arguments,
            "result": result_of(schema),
            "calculation": calculation_of_schema(name, schema),
            "python": examples.python(self.visit.own_url, self.user, name, arguments),
            "curl": examples.curl(self.visit.own_url, self.user, name, arguments),
            "versions": versions,
            "figures": self.context.function_figures.of(name),
            "broken": catalog.broken.get(model.name, "") if model else "",
            "source": await self._source(model) if DEPLOY in rights else None,
            "may_deploy": DEPLOY in rights,
            "may_query": QUERY in rights,
            "may_evaluate": EVALUATE in rights and self.context.settings.evaluate_enable,
        }

    async def _model(self, endpoint: Endpoint) -> Endpoint | None:
        """Return what answers for it; None for an alias whose target isn't there."""
        if endpoint.metadata.type != ALIAS:
            return endpoint
        return (await self.context.catalog.endpoints()).get(endpoint.metadata.target or "")

    async def _source(self, model: Endpoint | None) -> str | None:
        """Return the function's text, for those who deploy: it may be nobody else's business."""
        if model is None or model.archive is None:
            return None
        try:
            reference = await self.context.catalog.reference(model.name)
            return await asyncio.to_thread(source_text.read, Path(reference.path))
        except (TabPyError, OSError):
            return None  # the view has more to say
