"""The routes."""

import re
from typing import Any

from tornado.web import Application, RequestHandler

from tabpy.tabpy_server.package_files import TEMPLATES
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.entrance import Entrance
from tabpy.tabpy_server.web.error_reply import OAUTH_RESOURCE
from tabpy.tabpy_server.web.handlers.activity import ActivityHandler
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.handlers.description import DescriptionHandler
from tabpy.tabpy_server.web.handlers.endpoints import (
    EndpointHandler,
    EndpointsHandler,
    RollbackHandler,
    StatusHandler,
    UploadDestinationHandler,
    VersionsHandler,
)
from tabpy.tabpy_server.web.handlers.evaluate import EvaluateHandler
from tabpy.tabpy_server.web.handlers.job import JobHandler
from tabpy.tabpy_server.web.handlers.limits import LimitsHandler
from tabpy.tabpy_server.web.handlers.metrics import MetricsHandler
from tabpy.tabpy_server.web.handlers.oauth_resource import OAuthResourceHandler
from tabpy.tabpy_server.web.handlers.packages import ConstraintsHandler, PackagesHandler
from tabpy.tabpy_server.web.handlers.query import QueryHandler
from tabpy.tabpy_server.web.handlers.service import (
    HealthHandler,
    InfoHandler,
    ReadyHandler,
    UnknownHandler,
)
from tabpy.tabpy_server.web.openapi import Handler, Route
from tabpy.tabpy_server.web.page.file_handler import FileHandler, OwnFileHandler
from tabpy.tabpy_server.web.page.jobs import PageEvaluateHandler, PageQueryHandler
from tabpy.tabpy_server.web.page.reference import ReferenceView
from tabpy.tabpy_server.web.page.views import VIEWS

DESCRIBING = (DescriptionHandler, ReferenceView)  # who is told of all routes


def make_routes(context: Context) -> list[Route]:
    """Return every route of the server, without the service's prefix."""
    routes: list[tuple[str, Handler, dict[str, Any]]] = [
        ("/info", InfoHandler, {}),
        ("/evaluate", EvaluateHandler, {}),
        ("/query/([^/]+)", QueryHandler, {}),
        ("/endpoints/?", EndpointsHandler, {}),
        ("/endpoints/([^/]+)", EndpointHandler, {}),
        ("/endpoints/([^/]+)/versions", VersionsHandler, {}),
        ("/endpoints/([^/]+)/rollback", RollbackHandler, {}),
        ("/status", StatusHandler, {}),
        ("/configurations/endpoint_upload_destination", UploadDestinationHandler, {}),
        ("/packages", PackagesHandler, {}),
        ("/packages/constraints.txt", ConstraintsHandler, {}),
        ("/limits", LimitsHandler, {}),
        ("/metrics", MetricsHandler, {}),
        ("/activity", ActivityHandler, {}),
        ("/healthz", HealthHandler, {}),
        ("/readyz", ReadyHandler, {}),
        ("/openapi.json", DescriptionHandler, {}),
    ]
    if context.settings.oauth_enabled:
        routes.append((OAUTH_RESOURCE, OAuthResourceHandler, {}))
    if context.shows_our_page:
        routes += [(view.route.replace("{name}", "([^/]+)"), view, {}) for view in VIEWS]
        routes += [
            ("/page/evaluate", PageEvaluateHandler, {}),
            ("/page/query/([^/]+)", PageQueryHandler, {}),
            ("/static/(.+)", FileHandler, {}),
        ]
    else:  # pages of somebody's own, served as they are
        files = {"path": str(context.settings.static_path), "default_filename": "index.html"}
        routes.append(("/(.*)", OwnFileHandler, files))
    return [Route(*each) for each in routes]


def make_entrance(context: Context) -> Entrance:
    """Return the entrance to all routes, under the service's prefix if it has one."""
    prefix = re.escape(context.service.prefix)
    routes = make_routes(context)
    jobs: list[tuple[str, type[JobHandler]]] = []
    others: list[tuple[str, type[BaseHandler], dict[str, Any]]] = []
    for path, handler, arguments in routes:
        if issubclass(handler, JobHandler):
            jobs.append((prefix + path, handler))
        else:
            given = {"routes": routes} if handler in DESCRIBING else arguments
            others.append((prefix + path, handler, given))
    application = Application(
        others,
        context=context,
        default_handler_class=UnknownHandler,
        log_function=_log,
        template_path=str(TEMPLATES),
        compiled_template_cache=True,
    )
    return Entrance(context, jobs, application)


def _log(handler: RequestHandler) -> None:
    """Write the line of a request, instead of tornado."""
    if isinstance(handler, BaseHandler):
        handler.log()
