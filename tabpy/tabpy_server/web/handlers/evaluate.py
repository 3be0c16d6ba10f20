"""POST /evaluate: a script and its data, as Tableau sends them for SCRIPT_* and Prep."""

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.web.handlers.job import JobHandler
from tabpy.tabpy_server.workers.pool.job import Job


class EvaluateHandler(JobHandler):
    """The event loop never parses the body: a worker gets it as it came."""

    route = "/evaluate"

    async def post(self) -> None:
        settings = self.context.settings
        if not settings.evaluate_enable:
            raise RequestError(
                404,
                "Ad-hoc scripts have been disabled on this analytics extension, please contact "
                "your administrator.",
                "TABPY_EVALUATE_ENABLE is false.",
            )
        job = Job({"do": "evaluate"}, self.whole_body(), settings.evaluate_timeout)
        frame = await self.run_job(job)
        self.write_json_bytes(bytes(frame.body))
