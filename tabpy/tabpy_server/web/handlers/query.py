"""/query/<name>: call a deployed function, as MODEL_EXTENSION_* and the client do."""

from collections.abc import Mapping
from typing import ClassVar

from tabpy.tabpy_server.rights import QUERY
from tabpy.tabpy_server.web.handlers.job import JobHandler


class QueryHandler(JobHandler):
    route = "/query/{name}"
    needed_rights: ClassVar[Mapping[str, str]] = {"GET": QUERY, "POST": QUERY}

    async def post(self, name: str) -> None:
        reply, result = await self.run_job(self.context.settings.evaluate_timeout, name)
        tag = f'"{reply.etag}"'
        self.set_header("Etag", tag)
        if self.request_headers.etag_matches(tag) and not self._headers_written:
            self.set_status(304)
            self.finish()
            return
        self.write_json_bytes(result)

    async def get(self, name: str) -> None:
        """Take a body, like POST: that is how TabPy has it."""
        await self.post(name)
