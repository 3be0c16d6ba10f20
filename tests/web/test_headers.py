"""What a request's headers say, whatever a client wrote into them."""

import ipaddress
import re

import pytest

from tabpy.tabpy_server.web.headers import (
    TOO_MANY_DIGITS,
    RequestHeaders,
    header_text,
    host_and_port,
    is_readable_host,
    site_of,
)
from tests.web.hostile import texts

LOOKED_AT = [
    "Authorization",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "If-None-Match",
    "Origin",
    "TabPy-Client",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Request-Id",
]


def headers(**values: str) -> RequestHeaders:
    """Headers by their names, with _ for -."""
    return RequestHeaders({name.replace("_", "-").lower(): value for name, value in values.items()})


# --- nothing raises ---


def test_no_header_makes_reading_it_fail() -> None:
    for text in texts(500):
        sent = RequestHeaders(dict.fromkeys(map(str.lower, LOOKED_AT), text))
        assert len(sent.request_id) <= 200
        assert 0 <= sent.declared_size <= TOO_MANY_DIGITS
        assert sent.encoding == text.lower()
        assert sent.forwarded_protocol in ("http", "https", None)
        if sent.forwarded_for is not None:
            ipaddress.ip_address(sent.forwarded_for)
        assert sent.authorization == sent.origin == sent.content_type == text
        assert sent.client == (text or None)
        assert isinstance(sent.etag_matches('"tag"'), bool)


def test_no_host_or_origin_makes_reading_it_fail() -> None:
    for text in texts(500):
        name, port = host_and_port(text)
        assert isinstance(name, str)
        assert port is None or 0 <= port <= 65535
        assert (site_of(text) or "") in text
        assert is_readable_host(text) in (True, False)


def test_any_text_can_be_made_one_that_a_header_can_carry() -> None:
    for text in texts(500):
        made = header_text(text)
        assert re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", made)
        assert header_text(made) == made
        assert len(made) == len(text)


def test_what_is_not_sent_is_nothing() -> None:
    sent = headers()
    assert (sent.request_id, sent.content_type, sent.encoding) == ("", "", "identity")
    assert (sent.declared_size, sent.has_body, sent.asks_first) == (0, False, False)
    assert sent.authorization is sent.origin is sent.client is sent.tableau_user is None
    assert sent.forwarded_for is sent.forwarded_protocol is None
    assert not sent.came_by_proxy
    assert not sent.etag_matches('"tag"')


# --- the body ---


@pytest.mark.parametrize(
    ("declared", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("0017", 17),
        ("9" * 18, 10**18 - 1),
        ("1" + "0" * 18, TOO_MANY_DIGITS),
        ("9" * 5000, TOO_MANY_DIGITS),
        ("0" * 5000, 0),
        ("0" * 5000 + "17", 17),
        ("-1", 0),
        ("+1", 0),
        ("1_0", 0),
        ("1.0", 0),
        ("\xb2", 0),
        ("٣", 0),
        ("5, 5", 0),
        ("", 0),
    ],
)
def test_a_declared_size_is_its_digits(declared: str, size: int) -> None:
    assert headers(Content_Length=declared).declared_size == size


def test_a_body_is_announced_by_its_size_or_its_encoding() -> None:
    assert headers(Content_Length="0").has_body
    assert headers(Transfer_Encoding="chunked").has_body
    assert not headers(Content_Type="text/plain").has_body


def test_an_encoding_has_no_case() -> None:
    assert headers(Content_Encoding="GZip").encoding == "gzip"


# --- If-None-Match ---


@pytest.mark.parametrize(
    "sent",
    ['"a-1"', 'W/"a-1"', '"b", "a-1"', '"b","a-1","c"', 'W/"b", W/"a-1"', "*", " * ", '"b" "a-1"'],
)
def test_an_etag_matches_itself_weak_or_not_and_any(sent: str) -> None:
    assert headers(If_None_Match=sent).etag_matches('"a-1"')


@pytest.mark.parametrize(
    "sent",
    ["", '"b"', "a-1", '"a-1', 'a-1"', '"xa-1"', '"a-1x"', '"*"', "**", '*, "b"', '"x"a-1"y"'],
)
def test_an_etag_matches_no_other(sent: str) -> None:
    assert not headers(If_None_Match=sent).etag_matches('"a-1"')


def test_etags_may_come_in_several_lines() -> None:
    assert headers(If_None_Match='"b","a-1"').etag_matches('"a-1"')


# --- hosts and origins ---


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("x", "x", None),
        ("X.Example:9004", "x.example", 9004),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]:9004", "::1", 9004),
        ("[::1]", "::1", None),
        ("x:", "x", None),
        ("x:abc", "x", None),
        ("x:99999", "x", None),
        ("x:80:80", "x", None),
        ("x:" + "9" * 5000, "x", None),
        (":9004", "", 9004),
        ("[", "", None),
        ("[::1", "", None),
        ("", "", None),
    ],
)
def test_a_host_has_a_name_and_a_port_as_far_as_they_are_right(
    host: str, name: str, port: int | None
) -> None:
    assert host_and_port(host) == (name, port)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://x.example", "x.example"),
        ("http://127.0.0.1:9004", "127.0.0.1:9004"),
        ("null", ""),
        ("http://[", None),
        ("http://x:abc", "x:abc"),
    ],
)
def test_a_site_is_the_host_of_an_origin(origin: str, site: str | None) -> None:
    assert site_of(origin) == site


def test_a_port_without_end_cannot_be_read() -> None:
    assert is_readable_host("x:" + "9" * 99)
    assert not is_readable_host("x:" + "9" * 100)
    assert is_readable_host("x" * 5000)


# --- what proxies say ---


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("10.0.0.1, 192.0.2.1", "192.0.2.1"),
        (" 2001:DB8::1 ", "2001:db8::1"),
        ("192.0.2.1, unknown", None),
        ("192.0.2.1:4711", None),
        ("192.0.2.1,", None),
        ("", None),
    ],
)
def test_the_last_address_is_the_nearest_proxys_word(sent: str, address: str | None) -> None:
    assert headers(X_Forwarded_For=sent).forwarded_for == address


@pytest.mark.parametrize(
    ("sent", "protocol"),
    [("https", "https"), ("https, http", "http"), ("HTTPS", None), ("ftp", None), ("", None)],
)
def test_the_last_protocol_is_the_nearest_proxys_word(sent: str, protocol: str | None) -> None:
    assert headers(X_Forwarded_Proto=sent).forwarded_protocol == protocol
    assert headers(X_Forwarded_Proto=sent).came_by_proxy


# --- names ---


def test_a_program_is_named_by_tableaus_header_or_the_usual_one() -> None:
    assert headers(TabPy_Client="Tableau", User_Agent="x").client == "Tableau"
    assert headers(User_Agent="x").client == "x"


def test_a_long_request_id_is_cut() -> None:
    assert headers(X_Request_Id="x" * 500).request_id == "x" * 200


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("TabPy Server", "TabPy Server"),
        ("Käse\tbrot", "Käse\tbrot"),
        ("Сервис ✓", "?????? ?"),
        ("two\nlines\x00", "two lines "),
    ],
)
def test_header_text(text: str, made: str) -> None:
    assert header_text(text) == made
