"""Anything that isn't a valid request is told so, in little memory, and leaves nothing behind.

The examples are found by hypothesis: the same ones in each run, and others in `make fuzz`.
"""

import contextlib
import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPInputError

from tabpy.tabpy_server.errors import InvalidInputError, RefusedError
from tabpy.tabpy_server.web.gunzip import PIECE, Gunzip
from tabpy.tabpy_server.web.headers import RequestHeaders, host_and_port, site_of
from tabpy.tabpy_server.web.multipart import Upload
from tabpy.tabpy_server.web.own_names import OwnNames
from tests.deploying import BOUNDARY, FORM, form, part
from tests.running import until
from tests.web.harness import SIGNED_IN, EchoHandler, Web, make_context, request_text
from tests.web.hostile import NASTY

MIB = 1 << 20
LIMIT = 2 * MIB


class FakeDeployer:
    """Takes nothing."""

    async def create(self, *_: object) -> NoReturn:
        raise RefusedError("No.")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One server for all examples: none may break it for the next."""
    settings = {"max_request_size_mb": LIMIT / MIB, "state_path": tmp_path_factory.mktemp("state")}
    running = Web(make_context(settings, deployer=FakeDeployer()), {"/echo": EchoHandler})
    yield running
    assert running.request("GET", "/info").status == 200
    assert running.context.bodies.held == 0
    running.close()


# --- headers ---

NAMES = [
    "Authorization",
    "Connection",
    "Content-Encoding",
    "Content-Type",
    "Expect",
    "Host",
    "If-None-Match",
    "Origin",
    "Range",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "TabPy-Client",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Request-Id",
]
TEXTS = st.text() | st.sampled_from(NASTY) | st.text('[]:/@%"*;=,.\\ 0129xab-')
# What tornado lets through.
SENDABLE = st.text(
    st.characters(max_codepoint=0xFF, exclude_characters=[*map(chr, range(0x20)), "\x7f"])
)


@given(headers=st.dictionaries(st.sampled_from([*NAMES, "Content-Length"]), TEXTS))
def test_reading_headers_never_fails(headers: dict[str, str]) -> None:
    sent = RequestHeaders(headers)
    for name in dir(RequestHeaders):
        if not name.startswith("_"):
            getattr(sent, name)
    assert isinstance(sent.etag_matches('"x"'), bool)
    for text in headers.values():
        host_and_port(text)
        site_of(text)
        OwnNames([]).include(text)


@given(
    headers=st.dictionaries(st.sampled_from(NAMES), SENDABLE | st.sampled_from(NASTY)),
    request_line=st.sampled_from(["GET /", "GET /info", "POST /echo", "POST /endpoints", "PUT /x"]),
)
def test_no_headers_break_anything(web: Web, headers: dict[str, str], request_line: str) -> None:
    method, path = request_line.split()
    sent = {"Host": "x", "Authorization": SIGNED_IN, "Content-Length": "2", **headers}
    text = request_text(method, path, {name: each.strip() for name, each in sent.items()})
    assert web.send(text + b"{}").status < 500


@given(text=st.text(st.characters(max_codepoint=0xFF)) | st.text("\r\n \t:ab,\x00"))
@example("a: b\r\n folded")
def test_no_header_lines_are_an_accident(text: str) -> None:
    with contextlib.suppress(HTTPInputError):
        HTTPHeaders.parse(text)


FOLDERS = ["/", "/static/", "/query/", "/endpoints/", "/info/"]
METHODS = ["GET", "POST", "PUT", "DELETE"]
PATHS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60)
TRAPS = [
    "..",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "a%2fb",
    "%c0%ae%c0%ae/",
    "..%5c..%5c",
    "//x/..//",
    "%",
]


@given(
    method=st.sampled_from(METHODS),
    folder=st.sampled_from(FOLDERS),
    path=PATHS | st.sampled_from(TRAPS),
)
def test_no_path_is_an_accident(web: Web, method: str, folder: str, path: str) -> None:
    reply = web.request(method, folder + path, b"{}")
    assert reply.status < 500
    assert b"root:" not in reply.body


# --- JSON ---

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    [
        "name",
        "type",
        "target",
        "schema",
        "methods",
        "dependencies",
        "is_public",
        "src_path",
        "requirements",
        "packages",
        "python",
        "origin",
        "version",
        "should_update_version",
    ]
)
METADATA = st.dictionaries(FIELDS, VALUES | st.sampled_from(["x", "model", "alias", "a b", "/tmp"]))
MALFORMED = [
    b"",
    b"{",
    b'{"name": "x"',
    b"nul",
    b"\xff",
    b'"\xed\xa0\x80"',
    b"\xef\xbb\xbf{}",
    b"{}\x00",
    b"{}{}",
    b"{'a': 1}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"schema": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"name": "x", "name": "y", "version": 1, "version": 2}',
    b'{"version": ' + b"9" * 5000 + b"}",
    b'{"version": 1e999}',
    b'{"version": -0}',
    b'{"version": 1' + b"0" * 4000 + b"}",
    b'{"name": "\\ud800"}',
    b'{"name": "\\u0000"}',
    b'{"__proto__": {}, "": 1}',
    b"[" + b"1e400," * 300_000 + b"1]",
    b'"' + b"\\" * 99_999,
]
BODIES = (
    st.binary()
    | st.sampled_from(MALFORMED)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | METADATA.map(lambda value: json.dumps(value).encode())
)
ROUTES = ["POST /endpoints", "PUT /endpoints/x", "POST /endpoints/x/rollback"]


@given(body=BODIES, request_line=st.sampled_from(ROUTES))
def test_no_json_is_an_accident(web: Web, body: bytes, request_line: str) -> None:
    method, path = request_line.split()
    assert 400 <= web.request(method, path, body).status < 500


@pytest.mark.parametrize("request_line", ROUTES)
@pytest.mark.parametrize("body", MALFORMED)
def test_what_is_malformed_is_refused(web: Web, request_line: str, body: bytes) -> None:
    method, path = request_line.split()
    assert 400 <= web.request(method, path, body).status < 500


@pytest.mark.parametrize("request_line", ROUTES)
@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/mixed"],
)
def test_metadata_has_its_limit_whatever_its_type(
    web: Web, request_line: str, content_type: str
) -> None:
    web = Web(make_context({"max_request_size_mb": 100.0}, deployer=FakeDeployer()))
    method, path = request_line.split()
    body = b"[" + b"1e400," * 700_000 + b"1]"
    reply = web.request(method, path, body, {"Content-Type": content_type})
    assert reply.error[:2] == (
        413,
        f"Request with size {len(body)} exceeded limit of {4 * MIB} (bytes).",
    )
    packed = gzip.compress(body)
    encoded = {"Content-Type": content_type, "Content-Encoding": "gzip"}
    assert web.request(method, path, packed, encoded).status == 413
    web.close()


# --- uploads ---

PIECES = st.lists(
    st.sampled_from(
        [
            f"--{BOUNDARY}".encode(),
            f"--{BOUNDARY}--".encode(),
            b"\r\n",
            b"\r\n\r\n",
            b"--",
            b"\n",
            b'Content-Disposition: form-data; name="metadata"',
            b'Content-Disposition: form-data; name="archive"; filename="../../x"',
            b"Content-Disposition: form-data; name*=utf-8''archive",
            b"Content-Disposition: " + b"x" * 5000,
            b"Content-Transfer-Encoding: base64",
            b"{}",
        ]
    )
    | st.binary(max_size=9),
    max_size=20,
).map(b"".join)
SIZES = st.integers(1, 100)


@given(body=PIECES, size=SIZES)
@example(form(part("metadata", b"{}"), part("archive", b"x")), 3)
def test_no_upload_is_an_accident(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, size: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "incoming"
    upload = Upload(FORM["Content-Type"], folder)
    try:
        for start in range(0, len(body), size):
            upload.feed(body[start : start + size])
        upload.finish()
    except InvalidInputError:
        pass
    finally:
        upload.discard()
    assert left_in(folder) == []


@given(archive=st.binary(), metadata=st.binary(), size=SIZES)
def test_an_upload_brings_what_was_sent(
    tmp_path_factory: pytest.TempPathFactory, archive: bytes, metadata: bytes, size: int
) -> None:
    boundary = f"--{BOUNDARY}".encode()
    if boundary in archive or boundary in metadata:
        return
    folder = tmp_path_factory.getbasetemp() / "incoming"
    upload = Upload(FORM["Content-Type"], folder)
    body = form(part("metadata", metadata), part("archive", archive))
    for start in range(0, len(body), size):
        upload.feed(body[start : start + size])
    parts = upload.finish()
    assert parts.archive is not None
    assert (parts.metadata, parts.archive.path.read_bytes()) == (metadata, archive)
    upload.discard()


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


@given(body=PIECES, encoding=st.sampled_from(["identity", "gzip"]))
def test_no_upload_breaks_the_server(web: Web, body: bytes, encoding: str) -> None:
    headers = FORM | {"Content-Encoding": encoding}
    assert 400 <= web.request("POST", "/endpoints", body, headers).status < 500
    incoming = web.context.settings.state_path / "incoming"
    until(lambda: not left_in(incoming), "what came is removed, once it's answered")


# --- gzip ---


def unpack(body: bytes, size: int) -> bytes:
    gunzip = Gunzip()
    found = []
    for start in range(0, len(body), size):
        for piece in gunzip.feed(body[start : start + size]):
            assert len(piece) <= PIECE
            found.append(piece)
    gunzip.finish()
    return b"".join(found)


@given(texts=st.lists(st.binary(), min_size=1), padding=st.integers(0, 20), size=SIZES)
def test_members_are_unpacked_however_they_come(
    texts: list[bytes], padding: int, size: int
) -> None:
    body = b"".join(gzip.compress(each, mtime=0) + b"\0" * padding for each in texts)
    assert unpack(body, size) == b"".join(texts)


@given(
    text=st.binary(),
    place=st.integers(0, 200),
    put=st.binary(max_size=5),
    cut=st.integers(0, 5),
    size=SIZES,
)
def test_damaged_gzip_is_refused_or_what_python_makes_of_it(
    *, text: bytes, place: int, put: bytes, cut: int, size: int
) -> None:
    body = gzip.compress(text, mtime=0)
    damaged = body[:place] + put + body[place + cut :]
    try:
        found = unpack(damaged, size)
    except InvalidInputError:
        return
    assert found == gzip.decompress(damaged)


# --- memory ---


def bombs(count: int) -> bytes:
    """Gzip of several members, each of which unpacks to a hundred MiB."""
    return gzip.compress(b"\0" * 100 * MIB, 9, mtime=0) * count


def zeros() -> Iterator[bytes]:
    while True:
        yield b"40000\r\n" + b"\0" * 0x40000 + b"\r\n"


def peak(run: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", ["/echo", "/endpoints", "/evaluate", "/healthz"])
def test_a_bomb_takes_little_memory(web: Web, path: str) -> None:
    body = bombs(5)
    headers = {"Content-Encoding": "gzip"}

    def send() -> None:
        assert web.request("POST", path, body, headers).status in (413, 405)

    assert peak(send) < 3 * LIMIT + 2 * len(body)


@pytest.mark.parametrize("authorization", [SIGNED_IN, "Basic eDp5"])
def test_a_body_without_end_takes_little_memory(web: Web, authorization: str) -> None:
    chunked = {"Host": "x", "Authorization": authorization, "Transfer-Encoding": "chunked"}

    async def exchange() -> None:
        async with web.connection() as connection:
            await connection.send(request_text("POST", "/echo", chunked))
            for chunk in zeros():
                await connection.send(chunk)

    def send() -> None:  # what is answered, test_bodies says
        with pytest.raises(ConnectionError):
            web.run(exchange())

    assert peak(send) < 5 * LIMIT
