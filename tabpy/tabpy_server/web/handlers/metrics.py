"""GET /metrics: figures for Prometheus."""

from tabpy.tabpy_server.metrics import prometheus
from tabpy.tabpy_server.web.handlers.base import BaseHandler


class MetricsHandler(BaseHandler):
    route = "/metrics"

    async def get(self) -> None:
        context = self.context
        text = await prometheus.text(context.counters, context.pool, context.catalog)
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(text)
