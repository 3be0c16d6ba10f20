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


class CallHandler(JobHandler):
    """Calls a function."""

    async def call(self, name: str) -> None:
        """Answer with what it returns for the arguments in the body."""
        is_debug = self.is_debug()
        pure = None if is_debug else self.context.pure_calls.call(name)
        self.visit.pure_call = pure
        try:
            reply, result = await self.run_job(self.context.settings.query_timeout, name, pool=pure)
        except FAILED as error:
            self._count(name, failed=True)
            if isinstance(error, NotLoadableError):
                self.context.checkup.saw(name, loads=False)
            raise
        self._count(name)
        self.context.checkup.saw(name, loads=True)
        if is_debug:
            await self.reply_with_printed(bytes(result), reply.printed)
            return
        tag = f'"{reply.etag}"'
        headers = f"Etag: {tag}\r\n"
        if pure is not None and pure.way is not None:
            headers += _cache_headers(pure, pure.way)
        if self.visit.headers.etag_matches(tag) and not self.exchange.has_begun:
            self.reply_unchanged(headers)
        else:
            await self.reply(result, headers)

    def _count(self, name: str, *, failed: bool = False) -> None:
        seconds = self.visit.timing.run_ms / 1000 or None
        self.context.function_figures.add(name, seconds, failed=failed)

    def info_of(self, answer: Answer) -> object:
        """Return an object for a function that failed, as TabPy does, whose clients read `error`.
        `type` and `uri` are TabPy's words."""
        if answer.status != 500:
            return answer.info
        return {
            "type": "QueryFailed",
            "uri": self._unquoted(self.arguments[0]),
            "error": answer.info,
        }


class QueryHandler(CallHandler):
    route = "/query/{name}"
    needed_rights: ClassVar[Mapping[str, str]] = {"GET": QUERY, "POST": QUERY}

    @CALL
    async def post(self, name: str) -> None:
        await self.call(name)

    @CALL
    async def get(self, name: str) -> None:
        """Take a body, like POST: that is how TabPy has it."""
        await self.call(name)

    async def head(self, name: str) -> None:
        """Do as GET does; the reply's body is left out."""
        await self.call(name)


def _cache_headers(call: PureCall, way: Way) -> str:
    """Return what says how a pure function's result was had, in the words of RFC 9211."""
    said = CACHE_STATUS[way]
    if way is Way.HIT:
        return f"Age: {int(call.age)}\r\nCache-Status: {said}; ttl={int(call.left)}\r\n"
    if call.is_stored:
        said += "; stored"
    return f"Cache-Status: {said}\r\n"
