"""GET /limits: what a script may take and touch here."""

from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import LIMITS


class LimitsHandler(BaseHandler):
    route = "/limits"

    @operation("Say what a script may take and touch", Reply(200, "The limits", LIMITS))
    def get(self) -> None:
        settings, confinement = self.context.settings, self.context.confinement
        self.write_json(
            {
                "seconds": settings.evaluate_timeout,
                "query_seconds": settings.query_timeout,
                "memory_mb": round(settings.script_memory_mb),
                "isolation": settings.script_isolation.value,
                "network": settings.script_network or not confinement.seccomp,
                "confinement": {
                    "landlock": confinement.landlock,
                    "seccomp": confinement.seccomp,
                    "processes": confinement.processes,
                    "complete": confinement.complete,
                },
            }
        )
