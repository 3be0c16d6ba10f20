"""What a web process's handlers share."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.activity.activity import Activity
from tabpy.tabpy_server.flight.figures import Figures
from tabpy.tabpy_server.flight.tables import FlightTables
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.checkup import Checkup
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.functions.pure_calls import PureCalls
from tabpy.tabpy_server.functions.startup_problems import StartupProblems
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.metrics.function_figures import FunctionFigures
from tabpy.tabpy_server.package_files import OUR_PAGE
from tabpy.tabpy_server.script_rules import InForce
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls.served import ServedCertificate
from tabpy.tabpy_server.web import findings
from tabpy.tabpy_server.web.body_budget import BodyBudget, body_budget
from tabpy.tabpy_server.web.browser_rules import RULES
from tabpy.tabpy_server.web.findings import Finding
from tabpy.tabpy_server.web.heavy_jobs import HeavyJobs, heavy_jobs
from tabpy.tabpy_server.web.in_flight import Traffic
from tabpy.tabpy_server.web.own_names import OwnNames
from tabpy.tabpy_server.web.proxy import TrustedProxies
from tabpy.tabpy_server.web.reply_head import ReplyHead
from tabpy.tabpy_server.web.server_info import Service
from tabpy.tabpy_server.workers.pool.pool import Pool


@dataclass(frozen=True)
class Context:
    """Everything that a route may ask for; made once, when a web process begins."""

    settings: Settings
    service: Service
    confinement: InForce
    gate: Gate | OpenGate | TokenGate
    proxies: TrustedProxies
    catalog: Catalog
    pool: Pool
    pure_calls: PureCalls
    deployer: Deployer
    checkup: Checkup
    counters: Counters
    activity: Activity
    function_figures: FunctionFigures = field(default_factory=FunctionFigures)
    startup_problems: StartupProblems = field(default_factory=StartupProblems)
    certificate: ServedCertificate | None = None
    tables: FlightTables | None = None
    table_figures: Figures | None = None
    traffic: Traffic = field(default_factory=Traffic)

    @cached_property
    def max_request_size(self) -> int:
        """Return how large a request's body may be, in bytes."""
        return int(self.settings.max_request_size_mb * 1024 * 1024)

    @property
    def max_upload_size(self) -> int:
        """Return how large an upload may be, in bytes."""
        return int(self.settings.max_upload_size_mb * 1024 * 1024)

    @cached_property
    def shows_our_page(self) -> bool:
        """Tell whether the page is ours, and not somebody's own."""
        return self.settings.static_path.samefile(OUR_PAGE)

    @cached_property
    def bodies(self) -> BodyBudget:
        """Return what the bodies under way may take."""
        return body_budget(self.settings.web_processes)

    @cached_property
    def heavy_jobs(self) -> HeavyJobs:
        """Return the turns that jobs with large bodies take."""
        return heavy_jobs(self.settings)

    @cached_property
    def reply_headers(self) -> Mapping[str, str]:
        """Return the headers of every reply."""
        headers = {"Cache-Control": "no-store", **RULES, **self.service.cors}
        if self.settings.on_heroku or self.settings.speaks_https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        return headers

    @cached_property
    def reply_head(self) -> ReplyHead:
        """Return the same, as they are sent."""
        return ReplyHead(self.reply_headers)

    @cached_property
    def own_names(self) -> OwnNames:
        """Return the names by which an open server may be called."""
        return OwnNames(self.settings.host_names)

    @property
    def upload_destination(self) -> Path:
        """Return the folder in which clients on this machine may put archives."""
        return self.settings.state_path / "uploads"

    @property
    def loses_functions(self) -> str | None:
        """Return a warning where a dyno's disk keeps the functions."""
        found = findings.loses_functions(self.settings, {})
        return found.text if found is not None else None

    async def findings(self) -> list[Finding]:
        """Return what needs somebody, the urgent first."""
        problem = await self.catalog.ask_store()
        endpoints = {} if problem else await self.catalog.endpoints()
        shortages = await asyncio.to_thread(findings.shortages, self.settings)
        users, gate = self.gate.users, self.gate
        keys = gate.keys if isinstance(gate, TokenGate) else None
        of_the_certificate = self.certificate.warnings if self.certificate is not None else []
        found = [
            findings.store_fails(problem),
            findings.no_workers(self.pool.cannot_start),
            findings.open_to_all(gate.required),
            findings.no_keys(keys is not None and keys.is_failing, bool(keys and keys.known())),
            *findings.certificate(of_the_certificate),
            findings.loses_functions(self.settings, endpoints),
            findings.cannot_load(self.catalog.broken),
            findings.not_deployed(self.startup_problems.lines()),
            *shortages,
            findings.wrong_lines(len(users.problems) if users is not None else 0),
            findings.old_hashes(users.outdated if users is not None else 0),
            findings.confines_less(self.settings, self.confinement),
        ]
        return sorted(filter(None, found), key=lambda each: not each.is_urgent)

    def info(self) -> dict[str, Any]:
        """Return what `GET /info` answers."""
        return self.service.info(
            methods=self.gate.methods,
            evaluate=self.settings.evaluate_enable,
            gzip=self.settings.gzip_enable,
            arrow=self.settings.arrow_enable,
        )
