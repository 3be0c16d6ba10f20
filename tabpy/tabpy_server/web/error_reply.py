"""What a client gets when its request failed: one form for all routes, and a page for people."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from tornado.template import Loader

from tabpy.tabpy_server.json_codec import dumps
from tabpy.tabpy_server.package_files import TEMPLATES
from tabpy.tabpy_server.web.answers import BEARER, Answer, Challenge
from tabpy.tabpy_server.web.page import error_page
from tabpy.tabpy_server.web.visit import Visit

OAUTH_RESOURCE = "/.well-known/oauth-protected-resource"  # RFC 9728


class ErrorReply(NamedTuple):
    """`headers`: beside those of every reply."""

    headers: Mapping[str, str]
    body: bytes


def error_reply(
    visit: Visit, answer: Answer, info: object, details: Mapping[str, str]
) -> ErrorReply:
    """Return what says `answer` to who sent the request: `info` in its words, and `details`."""
    headers = dict(answer.headers)
    if answer.challenge is not None:
        headers["WWW-Authenticate"] = _challenge(visit, answer.challenge)
    if visit.context.shows_our_page and error_page.is_wanted(visit.method, visit.headers):
        headers["Content-Type"] = "text/html; charset=utf-8"
        headers["Content-Security-Policy"] = error_page.policy()
        return ErrorReply(headers, _page(visit, answer))
    headers["Content-Type"] = "application/json"
    return ErrorReply(headers, dumps({"message": answer.message, "info": info, **details}))


def _page(visit: Visit, answer: Answer) -> bytes:
    return (
        _loader()
        .load(error_page.TEMPLATE)
        .generate(
            name=visit.context.service.name,
            root=visit.way_to_root,
            signed_in=visit.is_admitted,
            request_id=visit.id,
            **error_page.values(answer),
        )
    )


@cache
def _loader() -> Loader:
    return Loader(str(TEMPLATES))


def _challenge(visit: Visit, said: Challenge) -> str:
    parameters = dict(said.parameters)
    if said.scheme == BEARER:
        parameters["resource_metadata"] = visit.own_url + OAUTH_RESOURCE  # RFC 9728, 5.1
    return visit.context.service.challenge(said.scheme, **parameters)
