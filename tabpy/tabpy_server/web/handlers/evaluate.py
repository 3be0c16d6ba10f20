"""POST /evaluate: a script and its data, as Tableau sends them for SCRIPT_* and Prep."""

from collections.abc import Mapping
from typing import ClassVar

from tabpy.tabpy_server.flight.tables import OwnTables
from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.rights import EVALUATE
from tabpy.tabpy_server.web.answers import Answer, RefusedRequestError
from tabpy.tabpy_server.web.handlers.job import DEBUG, JobHandler
from tabpy.tabpy_server.web.operation import Body, Reply, operation
from tabpy.tabpy_server.web.schemas import ANY, JSON, SCRIPT

DISABLED = Answer(
    404,
    "Ad-hoc scripts have been disabled on this analytics extension, please contact your "
    "administrator.",
    "TABPY_EVALUATE_ENABLE is false.",
)


class EvaluateHandler(JobHandler):
    """The event loop never parses the body: a worker gets it as it came."""

    route = "/evaluate"
    needed_rights: ClassVar[Mapping[str, str]] = {"POST": EVALUATE}

    def _tables(self) -> OwnTables | None:
        """Return the Arrow tables that the script may be for."""
        tables = self.context.tables
        return tables.of(self.visit.user or "") if tables is not None else None

    @operation(
        "Run a script",
        Reply(200, "What it returned; to debug, an object with response and printed", ANY),
        body=Body({JSON: SCRIPT}),
        query=(DEBUG,),
        errors=(404, 408),
    )
    async def post(self) -> None:
        settings = self.context.settings
        if not settings.evaluate_enable:
            raise RefusedRequestError(DISABLED)
        tables = self._tables()
        reply, result = await self.run_job(settings.evaluate_timeout, tables=tables)
        if tables is not None and (path := await tables.exchange()) is not None:
            result = dumps({"outputDataPath": path})
        if self.is_debug():
            await self.reply_with_printed(b'{"response":' + bytes(result) + b"}", reply.printed)
        else:
            await self.reply(result)
