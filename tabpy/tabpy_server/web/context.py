"""What a web process's handlers share."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.functions.catalog import Catalog
from tabpy.tabpy_server.functions.checkup import Checkup
from tabpy.tabpy_server.functions.deployer import Deployer
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.package_files import OUR_PAGE
from tabpy.tabpy_server.script_rules import OFF, InForce
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls.served import ServedCertificate
from tabpy.tabpy_server.web.body_budget import BodyBudget, body_budget
from tabpy.tabpy_server.web.in_flight import Traffic
from tabpy.tabpy_server.web.own_names import OwnNames
from tabpy.tabpy_server.web.proxy import TrustedProxies
from tabpy.tabpy_server.web.server_info import Service
from tabpy.tabpy_server.workers.pool.pool import Pool

SHOWN, REASON_SHOWN = 3, 200  # functions that are named one by one, and characters of why


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
    deployer: Deployer
    checkup: Checkup
    counters: Counters
    certificate: ServedCertificate | None = None
    traffic: Traffic = field(default_factory=Traffic)

    @property
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
        return body_budget(self.settings.web_processes, self.max_request_size)

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
        """Return a warning where a dyno's disk keeps the functions: it starts afresh every day."""
        if not self.settings.on_heroku or self.settings.database_url:
            return None
        return (
            "Deployed functions are lost at this dyno's next restart, at least once a day. To keep "
            "them: heroku addons:create heroku-postgresql:essential-0"
        )

    @property
    def confines_less(self) -> str | None:
        """Return a warning where scripts are kept to less than they could be."""
        if self.confinement.complete or self.settings.script_confinement == OFF:
            return None
        return f"The server can't keep scripts to all rules: {'; '.join(self.confinement.missing)}."

    @property
    def cannot_load(self) -> str | None:
        """Return a warning where stored functions can't be loaded, with the reason of each."""
        broken = sorted(self.catalog.broken.items())
        if not broken:
            return None
        shown = " ".join(f"{name}: {reason[:REASON_SHOWN]}" for name, reason in broken[:SHOWN])
        more = f" And {len(broken) - SHOWN} more." if len(broken) > SHOWN else ""
        functions = "function" if len(broken) == 1 else "functions"
        return f"{len(broken)} deployed {functions} can't be loaded (see /status). {shown}{more}"

    @property
    def warnings(self) -> list[str]:
        """Return what the page warns of."""
        of_the_certificate = self.certificate.warnings if self.certificate is not None else []
        others = (self.loses_functions, self.confines_less, self.cannot_load)
        return [*filter(None, others), *of_the_certificate]

    def info(self) -> dict[str, Any]:
        """Return what `GET /info` answers."""
        return self.service.info(
            methods=self.gate.methods,
            evaluate=self.settings.evaluate_enable,
            gzip=self.settings.gzip_enable,
        )
