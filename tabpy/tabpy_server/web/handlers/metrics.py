"""GET /metrics: figures for Prometheus."""

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.metrics import prometheus
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import TEXT


class MetricsHandler(BaseHandler):
    route = "/metrics"

    @operation(
        "Give figures to Prometheus", Reply(200, "The figures", TEXT, content_type="text/plain")
    )
    async def get(self) -> None:
        context = self.context
        text = await prometheus.text(
            context.counters,
            context.pool,
            context.catalog,
            prometheus.Shared(
                context.confinement,
                context.certificate.expires if context.certificate is not None else None,
                context.table_figures,
                machine.name() if context.settings.database_url else "",
            ),
        )
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(text)
