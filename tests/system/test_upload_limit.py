"""How large an archive may be: TABPY_MAX_UPLOAD_SIZE_MB says so, alone."""

import os
from collections.abc import Callable

from tests.deploying import deploy
from tests.running import Server


def test_the_limit_of_requests_is_none_to_archives(start: Callable[..., Server]) -> None:
    server = start(
        {
            "WEB_CONCURRENCY": "1",
            "TABPY_WORKERS": "1",
            "TABPY_MAX_REQUEST_SIZE_MB": "0.01",
            "TABPY_MAX_UPLOAD_SIZE_MB": "1",
        }
    )
    large = os.urandom(900_000)  # ninety times what another request may have
    assert deploy(server, "large", lambda: len(large)).status == 201
    assert server.query("large").json["response"] == 900_000
    assert server.query("large", "x" * 20_000).status == 413
