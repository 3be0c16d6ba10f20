"""What each right opens: everything else needs a sign-in and no more."""

import itertools
import json
from collections.abc import Callable

import pytest

from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, QUERY, Rights
from tests.running import USER
from tests.web.harness import SIGNED_IN, FakeGate, Web
from tests.web.test_routes import METHODS, routes

Serve = Callable[..., Web]

NEEDED = {
    ("POST", "/evaluate"): EVALUATE,
    ("GET", "/query/x"): QUERY,
    ("HEAD", "/query/x"): QUERY,
    ("POST", "/query/x"): QUERY,
    ("POST", "/page/evaluate"): EVALUATE,
    ("POST", "/page/query/x"): QUERY,
    ("GET", "/page/try"): EVALUATE,
    ("HEAD", "/page/try"): EVALUATE,
    ("GET", "/configurations/endpoint_upload_destination"): DEPLOY,
    ("HEAD", "/configurations/endpoint_upload_destination"): DEPLOY,
    ("POST", "/endpoints/?"): DEPLOY,
    ("PUT", "/endpoints/x"): DEPLOY,
    ("DELETE", "/endpoints/x"): DEPLOY,
    ("POST", "/endpoints/x/rollback"): DEPLOY,
}
REQUESTS = [
    (method, path.removeprefix("/a/b"), handler)
    for path, handler in routes({})
    for method in METHODS
]
EACH = [rights for number in range(4) for rights in itertools.combinations(ALL, number)]


def test_every_right_has_routes() -> None:
    assert NEEDED.keys() <= {(method, path) for method, path, _ in REQUESTS}
    assert set(NEEDED.values()) == set(ALL)


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("rights", EACH, ids=lambda rights: ",".join(rights) or "none")
def test_a_request_without_its_right_is_refused(
    serve: Serve, rights: Rights, remembers: bool
) -> None:
    web = serve(gate=FakeGate(remembers, rights=rights))
    for method, path, _ in REQUESTS:
        needed = NEEDED.get((method, path))
        reply = web.request(method, path.removesuffix("?"), b"{}")
        refused = needed is not None and needed not in rights
        assert (reply.status == 403) is refused, (method, path)
        assert reply.status != 401, (method, path)


def test_the_answer_names_the_right_and_how_to_get_it(serve: Serve) -> None:
    web = serve(gate=FakeGate(rights=(QUERY, EVALUATE)))
    assert web.request("POST", "/endpoints", b"{}").error == (
        403,
        f"User '{USER}' may not deploy here.",
        f"This needs the right 'deploy'; '{USER}' has query, evaluate. Whoever runs the server "
        f"can give it: tabpy-user update -u {USER} --may query,evaluate,deploy, or TABPY_RIGHTS "
        "for the user of TABPY_USERNAME.",
    )


@pytest.mark.parametrize("remembers", [True, False])
def test_it_comes_before_the_body(serve: Serve, remembers: bool) -> None:
    web = serve(gate=FakeGate(remembers, rights=(QUERY,)))
    head = (
        f"POST /evaluate HTTP/1.1\r\nHost: x\r\nAuthorization: {SIGNED_IN}\r\n"
        "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert web.send(head.encode("latin-1")).status == 403


def test_without_the_right_it_makes_no_difference_whether_scripts_are_enabled(
    serve: Serve,
) -> None:
    body = json.dumps({"script": "return 1", "data": {}}).encode()
    for rights, status in (((QUERY,), 403), (ALL, 404)):
        web = serve({"evaluate_enable": False}, gate=FakeGate(rights=rights))
        assert web.request("POST", "/evaluate", body).status == status


@pytest.mark.parametrize(("rights", "can_try"), [(ALL, True), ((QUERY, DEPLOY), False)])
def test_the_page_shows_a_persons_rights(serve: Serve, rights: Rights, can_try: bool) -> None:
    page = serve(gate=FakeGate(rights=rights)).request("GET", "/").body.decode()
    assert f'<span id="rights">{", ".join(rights)}</span>' in page
    assert (">Try it</a>" in page) is can_try
