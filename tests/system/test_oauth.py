"""A whole server that takes tokens; its issuer rotates keys, is slow, is down and lies."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jwt", reason="PyJWT isn't installed: pip install '.[oauth]'")

from tests.issuer import Issuer, KeyServer
from tests.running import PASSWORD, USER, Reply, Server, basic, until

Start = Callable[..., Server]


@pytest.fixture
def key_server(tmp_path: Path) -> Iterator[KeyServer]:
    running = KeyServer(Issuer(), tmp_path)
    yield running
    running.close()


def ask(
    server: Server, authorization: str | None, path: str = "/info", body: str | None = None
) -> Reply:
    headers = {} if authorization is None else {"Authorization": authorization}
    return server.request("GET" if body is None else "POST", path, body, user=None, headers=headers)


def bearer(issuer: Issuer, identity: str = "first", **changed: Any) -> str:
    return f"Bearer {issuer.token(identity, **changed)}"


SCRIPT = '{"script": "return 1", "data": {}}'


def test_a_server_takes_tokens_beside_passwords(start: Start, key_server: KeyServer) -> None:
    issuer = key_server.issuer
    server = start({**key_server.settings, "TABPY_OAUTH_ENFORCE_ENDPOINT_SCOPES": "true"})
    assert ask(server, bearer(issuer)).status == 200
    assert ask(server, basic(USER, PASSWORD), "/evaluate", SCRIPT).json == 1
    assert ask(server, bearer(issuer, scope="tabpy:evaluate"), "/evaluate", SCRIPT).json == 1
    refused = ask(server, bearer(issuer, scope="tabpy:query"), "/evaluate", SCRIPT)
    assert refused.status == 403
    assert 'scope="tabpy:evaluate"' in refused.headers["WWW-Authenticate"]
    assert ask(server, f"Bearer {issuer.forged('first')}").status == 401
    assert ask(server, None).headers["WWW-Authenticate"].startswith("Basic ")
    assert server.log_lines("user=oauth: ", "status=200")
    assert "oauth:ann" not in server.log


def test_no_user_is_needed_beside_tokens(start: Start, key_server: KeyServer) -> None:
    server = start({**key_server.settings, "TABPY_OAUTH_LOG_USER": "true"}, users={})
    until(lambda: key_server.asked, "the keys are fetched before anybody asks")
    assert ask(server, bearer(key_server.issuer), "/evaluate", SCRIPT).json == 1
    assert ask(server, None).headers["WWW-Authenticate"].startswith("Bearer ")
    assert server.log_lines("user=oauth:ann", "/evaluate")


def test_a_new_key_counts_at_once_amid_forged_ones_and_known_ones_never_wait(
    start: Start, key_server: KeyServer
) -> None:
    issuer = key_server.issuer
    server = start({**key_server.settings, "WEB_CONCURRENCY": "1"})
    known = bearer(issuer)
    assert ask(server, known).status == 200
    key_server.may_answer.clear()
    asked = key_server.asked
    with ThreadPoolExecutor(20) as threads:
        storm = [
            threads.submit(ask, server, f"Bearer {issuer.forged(f'invented {number}')}")
            for number in range(10)
        ]
        until(lambda: key_server.asked > asked, "the storm has the keys fetched")
        other = bearer(issuer, sub="bob")  # never seen before, of a known key
        assert ask(server, other).status == 200
        issuer.rotate("second")
        rotated = threads.submit(ask, server, bearer(issuer, "second"))
        key_server.may_answer.set()
        assert rotated.result().status == 200
        assert {each.result().status for each in storm} == {401}


def test_an_issuer_that_is_down_or_lies_stops_neither_the_start_nor_known_keys(
    start: Start, key_server: KeyServer
) -> None:
    issuer = key_server.issuer
    key_server.content = b"<html>"
    server = start({**key_server.settings, "WEB_CONCURRENCY": "1"})
    assert ask(server, bearer(issuer)).status == 503
    assert server.log_lines("the answer isn't JSON")
    key_server.content = None
    assert ask(server, bearer(issuer)).status == 200
    key_server.status = 500
    assert ask(server, bearer(issuer, sub="bob")).status == 200
    issuer.rotate("second")
    assert ask(server, bearer(issuer, "second")).status == 503
