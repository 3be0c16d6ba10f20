"""Why a request is refused before its handler sees it; each raises RequestError or does nothing."""

from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.web.context import Context


def plain_http(request: HTTPServerRequest, context: Context) -> None:
    """Heroku's router passes plain http on, and with it passwords that anybody on the way reads.

    What doesn't come through the router never leaves the dyno.
    """
    came_by_router = context.settings.on_heroku and "X-Forwarded-Proto" in request.headers
    if not came_by_router or request.protocol == "https":
        return
    there = f"https://{request.host}{request.uri}"
    if request.method in ("GET", "HEAD"):
        raise RequestError(301, "This server speaks https only.", there, {"Location": there})
    raise RequestError(
        403, "This server speaks https only.", "Use https:// and port 443 (Require SSL: yes)."
    )


def other_sites(request: HTTPServerRequest, context: Context) -> None:
    """Browsers send a signed-in person's credentials along for any page that asks: another site's
    must not run Python in that person's name. Tableau doesn't send an Origin."""
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc == request.host:
        return
    if context.service.cors.get("Access-Control-Allow-Origin") in ("*", origin):
        return
    raise RequestError(
        403,
        "Requests from other web sites are not allowed.",
        f"{origin[:200]} is not this server. state.ini may allow it: Access-Control-Allow-Origin.",
    )


def unknown_encoding(request: HTTPServerRequest, context: Context) -> None:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    accepted = ("identity", "gzip") if context.settings.gzip_enable else ("identity",)
    if encoding not in accepted:
        raise RequestError(
            415,
            f"Content-Encoding '{encoding[:40]}' is not accepted.",
            f"Accepted: {', '.join(accepted)}.",
        )


def too_large(size: int, limit: int) -> None:
    if size > limit:
        raise RequestError(
            413,
            f"Request with size {size} exceeded limit of {limit} (bytes).",
            "Request Entity Too Large",
        )


def ordinary(status: int, request: HTTPServerRequest) -> RequestError:
    """What isn't one of our own errors: tornado's, and accidents."""
    if status == 404:
        return RequestError(404, "Not Found", f"There is nothing at {request.path}.")
    if status == 405:
        return RequestError(405, "Method Not Allowed", f"{request.path} has no {request.method}.")
    if status < 500:
        return RequestError(status, "Bad Request", "The request can't be understood.")
    return RequestError(
        status, "Internal error", "It is in the server's log, under this request's X-Request-Id."
    )
