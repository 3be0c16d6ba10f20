"""/query/<name>: call a deployed function, as MODEL_EXTENSION_* and the client do."""

from tabpy.tabpy_server.web.handlers.job import JobHandler
from tabpy.tabpy_server.workers.pool.job import Job


class QueryHandler(JobHandler):
    route = "/query/{name}"

    async def post(self, name: str) -> None:
        reference = await self.context.catalog.reference(name)
        timeout = self.context.settings.evaluate_timeout
        job = Job({"do": "query", "model": vars(reference)}, self.whole_body(), timeout)
        frame = await self.run_job(job)
        tag = f'"{frame.meta["etag"]}-{reference.version}"'
        self.set_header("Etag", tag)
        if tag in self.request.headers.get("If-None-Match", "") and not self._headers_written:
            self.set_status(304)
            self.finish()
            return
        self.write_json_bytes(bytes(frame.body))

    async def get(self, name: str) -> None:
        """With a body, like POST: that is how TabPy has it."""
        await self.post(name)
