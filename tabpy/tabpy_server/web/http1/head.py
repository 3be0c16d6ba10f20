"""The head of a request: its first line and its headers, and how its body will be framed.

Whatever two servers in a row could read in two ways is refused (RFC 9112, section 11.2): then one
of them would take for a request what the other took for a body.
"""

import re
from dataclasses import dataclass

from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine

from tabpy.tabpy_server.web.headers import RequestHeaders, is_readable_host

MOST_BYTES = 1 << 16
MOST_HEADERS = 500
END = re.compile(rb"\n\r?\n")
BEGINS_NONE = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z\r\n]")

# RFC 9110, section 5.6.2, and 9112, sections 3 and 5. A line may end without CR, as long as all
# servers agree on that (2.2). Each part ends where the next one begins, so none is tried twice.
NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
HEAD = re.compile(
    rf"(?:\r?\n)?({NAME}) ([!-~\x80-\xff]++) (HTTP/1\.[01])\r?\n"
    rf"((?:{NAME}:[\t -~\x80-\xff]*+\r?\n)*+)\r?\n"
)
HEADER = re.compile(r"([^:\n]++):[\t ]*+([^\r\n]*+)\r?\n")
NUMBER = re.compile("[0-9]++")
SEPARATOR = re.compile(r",[\t ]*+")
BLANKS = "\t "


class HeadersTooLargeError(HTTPInputError):
    """What came is longer than a head may be."""


@dataclass(slots=True)
class Head:
    """`fields`: the headers, by their names in lower case; lines of one name are joined by ",".
    `length`: of the body, in bytes; None for one in chunks. `keeps_alive`: whether the client may
    send another request on the same connection. `asks_first`: whether it waits for a word before it
    sends the body."""

    method: str
    target: str
    version: str
    fields: dict[str, str]
    length: int | None
    keeps_alive: bool
    asks_first: bool

    @property
    def start_line(self) -> RequestStartLine:
        """Return the first line, as tornado has it."""
        return RequestStartLine(self.method, self.target, self.version)

    @property
    def headers(self) -> HTTPHeaders:
        """Return the headers, as tornado has them."""
        headers = HTTPHeaders()
        for name, value in self.fields.items():
            headers[name] = value  # quicker than `add`, which looks for what isn't there
        return headers


def parse(data: bytes) -> Head:
    """Return what `data`, up to the empty line, says. Raises HTTPInputError."""
    found = HEAD.fullmatch(data.decode("latin-1"))
    if found is None:
        raise HTTPInputError("no request line and headers")
    method, target, version, lines = found.groups()
    fields = _fields(lines)
    if not is_readable_host(fields.get("host", "")):
        raise HTTPInputError("a Host header that can't be read")
    is_new = version == "HTTP/1.1"
    return Head(
        method,
        target,
        version,
        fields,
        _length(fields, is_new),
        _keeps_alive(fields, is_new),
        is_new and fields.get("expect", "").lower() == "100-continue",
    )


def _fields(lines: str) -> dict[str, str]:
    if lines.count("\n") > MOST_HEADERS:
        raise HeadersTooLargeError(f"more than {MOST_HEADERS} headers")
    found = HEADER.findall(lines)
    fields = {name.lower(): value.rstrip(BLANKS) for name, value in found}
    if len(fields) == len(found):
        return fields
    lists: dict[str, list[str]] = {}  # some come twice
    for name, value in found:
        lists.setdefault(name.lower(), []).append(value.rstrip(BLANKS))
    return {name: ",".join(values) for name, values in lists.items()}


def _length(fields: dict[str, str], is_new: bool) -> int | None:
    declared = fields.get("content-length")
    encoding = fields.get("transfer-encoding")
    if encoding is not None:
        if declared is not None or not is_new or encoding.lower() != "chunked":
            raise HTTPInputError("a Transfer-Encoding that isn't chunked alone")
        return None
    if declared is None:
        return 0
    # A proxy may have doubled it (RFC 9110, section 8.6).
    first, *others = SEPARATOR.split(declared)
    if not NUMBER.fullmatch(first) or any(each != first for each in others):
        raise HTTPInputError("a Content-Length that is no number")
    if others:
        fields["content-length"] = first
    return RequestHeaders(fields).declared_size


def _keeps_alive(fields: dict[str, str], is_new: bool) -> bool:
    options = fields.get("connection")
    if options is None:
        return is_new
    said = {each.strip(BLANKS) for each in options.lower().split(",")}
    return "close" not in said and (is_new or "keep-alive" in said)
