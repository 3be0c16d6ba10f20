"""Both servers reply alike to one list of requests, but for what docs/from-tabpy.md says."""

from collections.abc import Sequence

import pytest

from tests.compat.replay.exchange import Exchange
from tests.compat.replay.replies import Reply, differences, matches
from tests.compat.replay.requested import Everywhere, Request, everywhere, requests
from tests.compat.replay.servers import exchanged
from tests.test_documented import ROOT, anchors

REQUESTS = requests()
EVERYWHERE = everywhere()
GROUPS = list(dict.fromkeys(each.group for each in REQUESTS))


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    try:
        return exchanged(REQUESTS)
    except SystemExit as reason:
        pytest.skip(f"no TabPy to compare with: {reason}")


def test_the_list_is_long() -> None:
    assert len(REQUESTS) >= 300


@pytest.mark.parametrize("group", GROUPS)
def test_each_difference_has_its_reason(exchanges: Sequence[Exchange], group: str) -> None:
    assert {
        each.request.name: unexplained
        for each in exchanges
        if each.request.group == group and (unexplained := each.unexplained(EVERYWHERE))
    } == {}


@pytest.mark.parametrize("group", GROUPS)
def test_no_reason_outlives_its_difference(exchanges: Sequence[Exchange], group: str) -> None:
    assert {
        each.request.name: outdated
        for each in exchanges
        if each.request.group == group and (outdated := each.outdated())
    } == {}


def test_what_any_reply_may_have_some_reply_has(exchanges: Sequence[Exchange]) -> None:
    found = {difference for each in exchanges for difference in each.differences}
    assert [
        rule.differs
        for rule in EVERYWHERE
        if not any(matches(rule.differs, each) for each in found)
    ] == []


def test_each_reason_is_a_section_of_a_document() -> None:
    reasons = {each.why for each in REQUESTS if each.differs} | {each.why for each in EVERYWHERE}
    assert {why for why in reasons if not is_section(why)} == set()


def is_section(why: str) -> bool:
    document, _, section = why.partition("#")
    return section in anchors(ROOT / "docs" / (document or "from-tabpy.md"))


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("theirs", "ours", "found"),
    [
        (Reply(200, JSON, b"[1]"), Reply(200, JSON, b"[1]"), []),
        (Reply(200, JSON, b'{"uuid": "1"}'), Reply(200, JSON, b'{"uuid": "2"}'), []),
        (Reply(200, JSON, b"1"), Reply(200, JSON, b"1.0"), ["body: 1 → 1.0"]),
        (Reply(200, JSON, b'{"a": NaN}'), Reply(200, JSON, b'{"a": null}'), ["a: NaN → null"]),
        (Reply(200, JSON, b'{"a": {}}'), Reply(200, JSON, b"{}"), ["a: {} → nothing"]),
        (Reply(500, JSON, b"{}"), Reply(200, JSON, b"[1]"), ["500 → 200: [1]"]),
        (Reply(200, {}, b"1"), Reply(400, {}, b'{"message": "No."}'), ["200 → 400: No."]),
        (
            Reply(200, JSON, b"1"),
            Reply(200, {}, b"1"),
            ["content-type: application/json → nothing"],
        ),
        (
            Reply(500, {}, b'{"info": "E : a"}'),
            Reply(500, {}, b'{"info": "E : a\\nline 1"}'),
            ["info: more lines"],
        ),
    ],
    ids=lambda value: str(value.body) if isinstance(value, Reply) else "",
)
def test_differences_are_found(theirs: Reply, ours: Reply, found: list[str]) -> None:
    assert differences(theirs, ours) == found


def test_a_pattern_stands_for_the_differences_that_it_fits() -> None:
    assert matches("info: {} → *", "info: {} → two\nlines")
    assert not matches("info: {} → *", "message: {} → a")
    assert not matches("body: 1 → 2", "body: 1 → 20")


REFUSED, GIVEN = Reply(500, {}, b"{}"), Reply(200, {}, b"[1]")


@pytest.mark.parametrize(
    ("request_", "theirs", "ours", "unexplained", "outdated"),
    [
        (Request("", "alike"), GIVEN, GIVEN, [], []),
        (Request("", "differs"), REFUSED, GIVEN, ["500 → 200: [1]"], []),
        (Request("", "said", differs=("500 → *",)), REFUSED, GIVEN, [], []),
        (Request("", "gone", differs=("500 → *",)), GIVEN, GIVEN, [], ["500 → *"]),
        (Request("", "refused"), REFUSED, REFUSED, ["both say 500, not 200"], []),
        (Request("", "rightly refused", status=500), REFUSED, REFUSED, [], []),
        (Request("", "anywhere"), GIVEN, Reply(200, {"x": "1"}, b"[1]"), [], []),
    ],
    ids=lambda value: value.name if isinstance(value, Request) else "",
)
def test_what_the_list_says_is_held_against_the_replies(
    request_: Request, theirs: Reply, ours: Reply, unexplained: list[str], outdated: list[str]
) -> None:
    exchange = Exchange.of(request_, theirs, ours)
    assert (
        exchange.unexplained([Everywhere("x: nothing → 1", "#requests-and-replies")]) == unexplained
    )
    assert exchange.outdated() == outdated


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (
            Request("", "a script", script="return 1", data={}),
            b"POST /evaluate HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
            b"Content-Length: 34\r\n\r\n"
            b'{"script": "return 1", "data": {}}',
        ),
        (
            Request("", "chunks", body="ab", chunked=True, path="/x", user="a:b"),
            b"POST /x HTTP/1.1\r\nHost: here\r\nConnection: close\r\nAuthorization: Basic YTpi\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ),
        (Request("", "raw", raw="GET / HTTP/1.0\n\n"), b"GET / HTTP/1.0\r\n\r\n"),
        (
            Request("", "uploads", json={"src_path": "{uploads}/a"}, headers={"Host": "there"}),
            b"POST /evaluate HTTP/1.1\r\nHost: there\r\nConnection: close\r\n"
            b"Content-Length: 25\r\n\r\n"
            b'{"src_path": "/folder/a"}',
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Request) else "",
)
def test_a_request_is_written_down(request_: Request, sent: bytes) -> None:
    assert request_.rendered("here", "/folder") == sent
