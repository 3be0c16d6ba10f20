"""Why a request is refused before its handler sees it: each function raises, or does nothing."""

import re
from collections.abc import Mapping
from typing import Protocol

from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.web.answers import Answer, RefusedRequestError
from tabpy.tabpy_server.web.context import Context
from tabpy.tabpy_server.web.headers import RequestHeaders, host_and_port, site_of

# In UTF-8 with or without its mark, or in UTF-16: the worker reads it, and says what is wrong.
JSON_OBJECT = re.compile(rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*({|$)")
ALLOWED_ORIGIN = "Access-Control-Allow-Origin"
SAME_SITE = "same-origin"
OTHER_SITES = ("cross-site", "same-site")  # a page of a sister domain is a stranger's as well


class Asked(Protocol):
    """What is asked for: `target` is the path and the query, `host` may have a port."""

    method: str
    target: str
    host: str
    protocol: str


def plain_http(request: Asked, headers: RequestHeaders, context: Context) -> None:
    """Refuse what came over plain http: Heroku's router passes it on, and with it passwords that
    anybody on the way reads.

    What doesn't come through the router never leaves the dyno.
    """
    came_by_router = context.settings.on_heroku and headers.came_by_proxy
    if not came_by_router or request.protocol == "https":
        return
    message = "This server speaks https only."
    if request.method in ("GET", "HEAD"):
        there = f"https://{request.host}{request.target}"
        raise RefusedRequestError(Answer(301, message, there, {"Location": there}))
    raise RefusedRequestError(Answer(403, message, "Use https:// and port 443 (Require SSL: yes)."))


def other_sites(
    request: Asked,
    headers: RequestHeaders,
    context: Context,
    host_at_proxy: str | None,
) -> None:
    """Refuse what another site's page asks for: browsers send a signed-in person's credentials
    along, and no page may run Python in that person's name. `host_at_proxy`: what a proxy in front
    is called.

    No page can set Sec-Fetch-Site, so a browser that says same-origin there is believed: a proxy in
    between may have another Host than the browser.

    Tableau sends no Origin. A browser sends none for what it only shows or follows: then it says
    itself where the page is. A link to the page, in somebody's wiki, is no other page's request.
    """
    origin = headers.origin
    if origin is None and headers.fetch_site is None:
        return  # no browser asks
    hosts = [*filter(None, (request.host, host_at_proxy))]
    is_link = origin is None and request.method == "GET" and headers.opens_page
    is_elsewhere = headers.fetch_site in OTHER_SITES and not is_link
    is_here = origin is None or headers.fetch_site == SAME_SITE or site_of(origin) in hosts
    if is_here and not is_elsewhere:
        return
    allowed = context.service.cors.get(ALLOWED_ORIGIN)
    # Everybody's pages, with a signed-in person's password: nobody means that.
    is_open_to_all = allowed == "*" and not context.gate.required
    if is_open_to_all or (origin is not None and allowed == origin):
        return
    if origin is None:
        info = f"The browser says Sec-Fetch-Site: {headers.fetch_site}, and names no Origin."
    elif allowed == "*":
        info = (
            f"{origin[:200]} is not this server. state.ini may allow it: {ALLOWED_ORIGIN}, by its "
            "name, since * is not enough where a password is asked for."
        )
    else:
        info = f"{origin[:200]} is not this server. state.ini may allow it: {ALLOWED_ORIGIN}."
    raise RefusedRequestError(Answer(403, "Requests from other web sites are not allowed.", info))


def other_names(request: Asked, context: Context) -> None:
    """Refuse what comes to an open server by a name that somebody else may have given it."""
    if context.gate.required or context.own_names.include(request.host):
        return
    raise RefusedRequestError(
        Answer(
            403,
            f"This server doesn't answer to the name '{host_and_port(request.host)[0][:200]}'.",
            "It asks for no password, so it has to be called localhost, by its address, by its "
            "machine's name, or by a name in TABPY_HOST_NAMES.",
        )
    )


def missing_right(method: str, needed: Mapping[str, str], person: Person) -> None:
    """Refuse a method that needs a right which `person` doesn't have."""
    right = needed.get(method)
    if right is not None:
        person.need(right)


def gzip_where_it_is_off(headers: RequestHeaders, context: Context) -> None:
    """Refuse a gzip body on a server that takes none."""
    if headers.encoding == "gzip" and not context.settings.gzip_enable:
        raise _not_accepted(headers, context)


def packed(headers: RequestHeaders, context: Context, begin: bytes) -> None:
    """Refuse a body that is packed in any other way. `begin`: what has come of it.

    Some clients write a charset there, or the encoding of a reply: what begins like an object of
    JSON isn't packed, whatever they say.
    """
    if headers.encoding not in ("identity", "gzip") and not JSON_OBJECT.match(begin):
        raise _not_accepted(headers, context)


def _not_accepted(headers: RequestHeaders, context: Context) -> RefusedRequestError:
    return RefusedRequestError(
        Answer(
            415,
            f"Content-Encoding '{headers.encoding[:40]}' is not accepted.",
            f"Accepted: {'identity, gzip' if context.settings.gzip_enable else 'identity'}.",
        )
    )


def too_large(size: int, limit: int) -> None:
    """Refuse a body of `size` bytes if the limit is lower."""
    if size > limit:
        raise RefusedRequestError(
            Answer(
                413,
                f"Request with size {size} exceeded limit of {limit} (bytes).",
                "Request Entity Too Large",
            )
        )
