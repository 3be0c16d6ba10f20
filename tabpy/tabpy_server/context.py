"""What a web process's handlers share."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tabpy.tabpy_server.auth import Gate, OpenGate
from tabpy.tabpy_server.proxy import TrustedProxies
from tabpy.tabpy_server.service import Service
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.workers.pool import Pool


class Traffic:
    """Counts the requests under way, so that a stopping web process knows when it's done."""

    def __init__(self) -> None:
        self.draining = False
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def enter(self) -> None:
        self._busy += 1
        self._quiet.clear()

    def leave(self) -> None:
        self._busy -= 1
        if self._busy == 0:
            self._quiet.set()

    async def drained(self) -> None:
        """Until the last request that has begun is answered; new ones close their connection."""
        self.draining = True
        await self._quiet.wait()


@dataclass(frozen=True)
class Context:
    settings: Settings
    service: Service
    gate: Gate | OpenGate
    proxies: TrustedProxies
    pool: Pool
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def max_request_size(self) -> int:
        """Bytes."""
        return int(self.settings.max_request_size_mb * 1024 * 1024)

    def info(self) -> dict[str, Any]:
        """What `GET /info` answers."""
        return self.service.info(
            authentication=self.gate.required,
            evaluate=self.settings.evaluate_enable,
            gzip=self.settings.gzip_enable,
        )
