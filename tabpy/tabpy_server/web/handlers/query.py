"""/query/<name>: call a deployed function, as MODEL_EXTENSION_* and the client do."""

from collections.abc import Mapping
from typing import ClassVar

from tabpy.tabpy_server.errors import (
    FunctionFailedError,
    JobTimeoutError,
    NotLoadableError,
    WorkerDiedError,
)
from tabpy.tabpy_server.rights import QUERY
from tabpy.tabpy_server.web.answers import Answer
from tabpy.tabpy_server.web.handlers.job import DEBUG, JobHandler
from tabpy.tabpy_server.web.operation import Body, Reply, operation
from tabpy.tabpy_server.web.schemas import ARGUMENTS, JSON, RESPONSE

# How a function fails that exists and was called; it isn't to blame for the rest.
FAILED = (FunctionFailedError, JobTimeoutError, NotLoadableError, WorkerDiedError)
CALL = operation(
    "Call a deployed function",
    Reply(200, "What it returned", RESPONSE, headers={"Etag": "Identifies response and version"}),
    Reply(304, "It returned what If-None-Match names"),
    body=Body({JSON: ARGUMENTS}),
    query=(DEBUG,),
    errors=(404, 408),
)


class QueryHandler(JobHandler):
    route = "/query/{name}"
    needed_rights: ClassVar[Mapping[str, str]] = {"GET": QUERY, "POST": QUERY}

    @CALL
    async def post(self, name: str) -> None:
        try:
            reply, result = await self.run_job(self.context.settings.query_timeout, name)
        except FAILED as error:
            self._count(name, failed=True)
            if isinstance(error, NotLoadableError):
                self.context.checkup.saw(name, loads=False)
            raise
        self._count(name)
        self.context.checkup.saw(name, loads=True)
        if self.is_debug():
            self.write_with_printed(bytes(result), reply.printed)
            return
        tag = f'"{reply.etag}"'
        self.set_header("Etag", tag)
        if self.request_headers.etag_matches(tag) and not self._headers_written:
            self.set_status(304)
            self.finish()
            return
        self.write_result(result)

    def _count(self, name: str, *, failed: bool = False) -> None:
        self.context.function_figures.add(name, self.timing.run_ms / 1000, failed=failed)

    def info_of(self, answer: Answer) -> object:
        """Return an object for a function that failed, as TabPy does, whose clients read `error`.
        `type` and `uri` are TabPy's words."""
        if answer.status != 500:
            return answer.info
        return {"type": "QueryFailed", "uri": self.path_args[0], "error": answer.info}

    @CALL
    async def get(self, name: str) -> None:
        """Take a body, like POST: that is how TabPy has it."""
        await self.post(name)
