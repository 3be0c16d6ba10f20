"""What a server replies, in a form that can be compared, and how two replies differ."""

import gzip
import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PATIENCE = 60.0  # seconds
SHORT = 70  # characters of a value that a difference shows
# What differs between any two replies, even of one server.
IGNORED = {"date", "content-length", "connection", "x-request-id", "transfer-encoding"}
VARYING = {"uuid": "a UUID", "creation_time": "a time", "last_modified_time": "a time"}
VARYING |= {"path": "a path"}
NOTHING = "nothing"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        """Its JSON, with a word in place of what varies; else its kind of text."""
        try:
            return _steady(json.loads(self.body))
        except ValueError:
            return _kind(self.body)

    @property
    def summary(self) -> str:
        """The status, and what it says: of an error, the message."""
        content = self.content
        if self.status >= 400 and isinstance(content, dict) and "message" in content:
            content = content["message"]
        return f"{self.status}: {short(content)}" if self.body else str(self.status)


def ask(address: tuple[str, int], rendered: bytes, method: str) -> Reply:
    """Send one request over a connection of its own. OSError, HTTPException: no whole reply."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(rendered)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    if headers.get("content-encoding") == "gzip" and body:
        body = gzip.decompress(body)
    return Reply(response.status, headers, body)


def differences(theirs: Reply, ours: Reply) -> list[str]:
    """Each as `what: theirs → ours`; of another status, what the new one says, and no more."""
    if theirs.status != ours.status:
        return [f"{theirs.status} → {ours.summary}"]
    found = list(_in_content("", theirs.content, ours.content))
    for name in sorted((theirs.headers.keys() | ours.headers.keys()) - IGNORED):
        before, after = (each.headers.get(name, NOTHING) for each in (theirs, ours))
        if before != after and not (name == "etag" and NOTHING not in (before, after)):
            found.append(f"{name}: {before} → {after}")
    return found


def matches(pattern: str, difference: str) -> bool:
    """Whether it is this difference; `*` in a pattern stands for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), difference, re.S) is not None


def short(content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    text = text.encode("utf-8", "backslashreplace").decode()  # half a surrogate can't be printed
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


def _in_content(where: str, theirs: Any, ours: Any) -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in {**theirs, **ours}:
            inner = f"{where}.{key}" if where else key
            yield from _in_content(inner, theirs.get(key, NOTHING), ours.get(key, NOTHING))
    elif json.dumps(theirs) != json.dumps(ours):
        if isinstance(theirs, str) and isinstance(ours, str) and ours.startswith(theirs + "\n"):
            yield f"{where}: more lines"
        else:
            yield f"{where or 'body'}: {short(theirs)} → {short(ours)}"


def _steady(content: Any) -> Any:
    if isinstance(content, dict):
        return {
            key: VARYING[key] if _varies(key, value) else _steady(value)
            for key, value in content.items()
        }
    return [_steady(each) for each in content] if isinstance(content, list) else content


def _varies(key: str, value: Any) -> bool:
    """Times of a server's own start in `/info` are "0", and stay."""
    return key in VARYING and value not in ("", "0", None)


def _kind(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "bytes"
    return "a page" if "<html" in text.lower() else text
