"""POST /page/evaluate and /page/query/<name>: what a person runs on the page.

Chromium sends a request again when it gets 408 on a connection that it had used before, and so runs
a script again that has just taken all its time. Tableau knows a 408 from TabPy; the page asks here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from tabpy.tabpy_server.rights import QUERY
from tabpy.tabpy_server.web.answers import Answer, Told
from tabpy.tabpy_server.web.handlers.evaluate import EvaluateHandler
from tabpy.tabpy_server.web.handlers.job import DEBUG, JobHandler
from tabpy.tabpy_server.web.handlers.query import RESULT, CallHandler
from tabpy.tabpy_server.web.operation import Body, Reply, operation
from tabpy.tabpy_server.web.schemas import ANY, ARGUMENTS, JSON, SCRIPT

SENT_AGAIN = 408
# What a failed script has, and neither a browser nor a proxy does anything about: some in front
# of a server replace a 502 or 504 by a page of their own.
ONCE = 500


class PageJobHandler(JobHandler):
    """A job whose failure no browser takes for a reason to ask again, and is told as text."""

    def answer_of(self, error: Told) -> Answer:
        answer = super().answer_of(error)
        return replace(answer, status=ONCE) if answer.status == SENT_AGAIN else answer

    def info_of(self, answer: Answer) -> object:
        return answer.info


class PageEvaluateHandler(PageJobHandler, EvaluateHandler):
    route = "/page/evaluate"

    @operation(
        "Run a script from the page: as /evaluate, and 500 when its time is over",
        Reply(200, "What it returned; to debug, an object with response and printed", ANY),
        body=Body({JSON: SCRIPT}),
        query=(DEBUG,),
        errors=(404,),
    )
    async def post(self) -> None:
        await EvaluateHandler.post(self)


class PageQueryHandler(PageJobHandler, CallHandler):
    route = "/page/query/{name}"
    needed_rights: ClassVar[Mapping[str, str]] = {"POST": QUERY}

    @operation(
        "Call a function from the page: as /query, and 500 when its time is over",
        RESULT,
        Reply(304, "It returned what If-None-Match names"),
        body=Body({JSON: ARGUMENTS}),
        query=(DEBUG,),
        errors=(404,),
    )
    async def post(self, name: str) -> None:
        await self.call(name)
