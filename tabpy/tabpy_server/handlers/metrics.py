"""GET /metrics: figures for Prometheus."""

from tabpy.tabpy_server import metrics
from tabpy.tabpy_server.handlers.base import BaseHandler


class MetricsHandler(BaseHandler):
    route = "/metrics"

    async def get(self) -> None:
        text = await metrics.text(self.context)
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(text)
