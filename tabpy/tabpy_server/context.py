"""What a web process's handlers share."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.auth import Gate, OpenGate
from tabpy.tabpy_server.catalog import Catalog
from tabpy.tabpy_server.deployments import Deployments
from tabpy.tabpy_server.proxy import TrustedProxies
from tabpy.tabpy_server.service import Service
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tally import Tally
from tabpy.tabpy_server.workers.pool import Pool

LARGE = 1_000_000  # bytes
TRIM_AFTER = 0.5  # seconds


class Traffic:
    """Counts the requests under way, so that a stopping web process knows when it's done."""

    def __init__(self) -> None:
        self.draining = False
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._trim: asyncio.TimerHandle | None = None

    def enter(self) -> None:
        self._busy += 1
        self._quiet.clear()

    def leave(self) -> None:
        self._busy -= 1
        if self._busy == 0:
            self._quiet.set()

    def passed(self, size: int) -> None:
        """A request of `size` bytes, in and out, is over: give its memory back, once for many."""
        if size > LARGE and self._trim is None:
            self._trim = asyncio.get_running_loop().call_later(TRIM_AFTER, self._give_back)

    def _give_back(self) -> None:
        self._trim = None
        machine.trim()

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
    catalog: Catalog
    pool: Pool
    deployments: Deployments
    tally: Tally
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def max_request_size(self) -> int:
        """Bytes."""
        return int(self.settings.max_request_size_mb * 1024 * 1024)

    @property
    def max_upload_size(self) -> int:
        """Bytes."""
        return int(self.settings.max_upload_size_mb * 1024 * 1024)

    @property
    def upload_destination(self) -> Path:
        """Where clients on this machine may put archives."""
        return self.settings.state_path / "uploads"

    @property
    def loses_functions(self) -> str | None:
        """Said wherever it matters: a dyno's disk starts afresh every day."""
        if not self.settings.on_heroku or self.settings.database_url:
            return None
        return (
            "Deployed functions are lost at this dyno's next restart, at least once a day. To keep "
            "them: heroku addons:create heroku-postgresql:essential-0"
        )

    def info(self) -> dict[str, Any]:
        """What `GET /info` answers."""
        return self.service.info(
            authentication=self.gate.required,
            evaluate=self.settings.evaluate_enable,
            gzip=self.settings.gzip_enable,
        )
