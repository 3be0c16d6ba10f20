"""GET /activity: what the server has been doing in the last hour."""

import asyncio
import math
import time
from typing import Any

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.activity.history import Request
from tabpy.tabpy_server.activity.summary import summary
from tabpy.tabpy_server.rights import DEPLOY
from tabpy.tabpy_server.web.activity_schema import ACTIVITY
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation


class ActivityHandler(BaseHandler):
    """Numbers are for everybody who has signed in, as those of /metrics are. Requests are for who
    sent them, and all of them for who may deploy: what others call is theirs."""

    route = "/activity"

    @operation(
        "Say what this machine has been doing in the last hour",
        Reply(200, "Numbers by the minute, and the latest requests", ACTIVITY),
    )
    async def get(self) -> None:
        self.context.activity.show()
        self.write_json(await asyncio.to_thread(self._told))

    def _told(self) -> dict[str, Any]:
        sees_all = DEPLOY in self.person.rights
        limit = machine.memory_mb() * (1 << 20)
        return {
            "machine": machine.name(),
            "sees": "all" if sees_all else "own",
            "memory_limit": None if math.isinf(limit) else round(limit),
            **summary(
                self.context.activity.of_all(), time.time(), None if sees_all else self._is_own
            ),
        }

    def _is_own(self, request: Request) -> bool:
        """Tell whether the person who asks sent a request: as far as the log has their name."""
        return self.person.is_logged and request.user == self.user
