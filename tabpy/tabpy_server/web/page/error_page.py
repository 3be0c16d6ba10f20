"""What a person reads in a browser where a program gets an error as JSON.

The page stands alone: who isn't signed in gets no file of ours, so its style is inside it, and the
browser is told the style's hash.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from tabpy.tabpy_server.package_files import TEMPLATES
from tabpy.tabpy_server.web.answers import Answer
from tabpy.tabpy_server.web.headers import RequestHeaders

TEMPLATE = "error.html"
READING = ("GET", "HEAD")
# By status, for the person who pressed Cancel, or followed a link that is no more.
CURES: Mapping[int, str] = {
    401: "Reload this page, and enter the user name and the password that you have for this "
    "server. Who runs it can make a new one with tabpy-user.",
    403: "Ask whoever runs this server.",
    404: "The link may be old, or the address mistyped.",
    405: "This address is for programs. The views of the page are for people.",
    429: "Wait a little, then reload this page.",
    503: "Wait a little, then reload this page.",
}


def is_wanted(method: str | None, headers: RequestHeaders) -> bool:
    """Tell whether a browser is going to show the answer: it asks for HTML by its name."""
    return method in READING and headers.accepts_html


def values(answer: Answer) -> dict[str, Any]:
    """Return what the template shows."""
    return {
        "status": answer.status,
        "phrase": _phrase(answer.status),
        "message": answer.message,
        "info": answer.info,
        "cure": CURES.get(answer.status, ""),
        "style": _style(),
    }


def policy() -> str:
    """Return the Content-Security-Policy of the page: its one style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


@cache
def _style() -> str:
    return (TEMPLATES / "error.css").read_text(encoding="utf-8")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
