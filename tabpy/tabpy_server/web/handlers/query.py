"""/query/<name>: call a deployed function, as MODEL_EXTENSION_* and the client do."""

from collections.abc import Mapping
from typing import ClassVar

from tabpy.tabpy_server.errors import (
    FunctionFailedError,
    JobTimeoutError,
    NotLoadableError,
    WorkerDiedError,
)
from tabpy.tabpy_server.functions.pure_calls import PureCall, Way
from tabpy.tabpy_server.rights import QUERY
from tabpy.tabpy_server.web.answers import Answer
from tabpy.tabpy_server.web.handlers.job import DEBUG, JobHandler
from tabpy.tabpy_server.web.operation import Body, Reply, operation
from tabpy.tabpy_server.web.schemas import ARGUMENTS, JSON, RESPONSE

# How a function fails that exists and was called; it isn't to blame for the rest.
FAILED = (FunctionFailedError, JobTimeoutError, NotLoadableError, WorkerDiedError)
CACHE_STATUS = {
    Way.HIT: "TabPy; hit",
    Way.MISS: "TabPy; fwd=miss",
    Way.JOINED: "TabPy; fwd=miss; collapsed",
    Way.BYPASS: "TabPy; fwd=bypass",
}
RESULT = Reply(
    200,
    "What it returned",
    RESPONSE,
    headers={
        "Etag": "Identifies response and version",
        "Cache-Status": "Of a pure function: how the result was had (RFC 9211)",
        "Age": "Of a pure function's result that was kept: for how many seconds",
    },
)
CALL = operation(
    "Call a deployed function",
    RESULT,
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
        call = self.context.pure_calls.call(name)
        self.pure_call = None if call is None or self.is_debug() else call
        try:
            reply, result = await self.run_job(
                self.context.settings.query_timeout, name, pool=self.pure_call
            )
        except FAILED as error:
            self._count(name, failed=True)
            if isinstance(error, NotLoadableError):
                self.context.checkup.saw(name, loads=False)
            raise
        self._count(name)
        self.context.checkup.saw(name, loads=True)
        if self.is_debug():
            self.write_with_printed(result, reply.printed)
            return
        if self.pure_call is not None:
            self._tell_of_cache(self.pure_call)
        tag = f'"{reply.etag}"'
        self.set_header("Etag", tag)
        if self.request_headers.etag_matches(tag) and not self._headers_written:
            self.set_status(304)
            self.finish()
            return
        self.write_json_bytes(result)

    def _tell_of_cache(self, call: PureCall) -> None:
        """Say how a pure function's result was had, in the words of RFC 9211."""
        if call.way is None:
            return
        said = CACHE_STATUS[call.way]
        if call.way is Way.HIT:
            self.set_header("Age", str(int(call.age)))
            said += f"; ttl={int(call.left)}"
        elif call.is_stored:
            said += "; stored"
        self.set_header("Cache-Status", said)

    def _count(self, name: str, *, failed: bool = False) -> None:
        seconds = self.timing.run_ms / 1000 or None
        self.context.function_figures.add(name, seconds, failed=failed)

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
