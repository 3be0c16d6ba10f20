"""What a request asks of the pool."""

from collections.abc import Callable

import pytest

from tabpy.tabpy_server.isolation import Isolation
from tests.running import USER
from tests.web.harness import FakePool, Web

Serve = Callable[..., Web]


@pytest.mark.parametrize("path", ["/evaluate", "/query/f"])
@pytest.mark.parametrize(
    ("isolation", "owner"),
    [("user", USER), ("viewer", f"{USER}\nanna"), ("job", USER), ("off", USER)],
)
def test_a_job_belongs_to_who_signed_in(
    serve: Serve, path: str, isolation: str, owner: str
) -> None:
    pool = FakePool()
    web = serve({"script_isolation": Isolation(isolation)}, pool=pool)
    web.request("POST", path, b"{}", {"TabPy-User": "anna"})
    assert [each.owner for each in pool.jobs] == [owner]


def test_the_page_says_whose_scripts_may_share_a_worker(serve: Serve) -> None:
    for isolation in Isolation:
        page = serve({"script_isolation": isolation}).request("GET", "/").body.decode()
        assert f'<dd id="isolation">{isolation.words}</dd>' in page
