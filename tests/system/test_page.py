"""The page of a whole server: the same whichever web process answers, and true when things fail."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.running import Server, until

Start = Callable[..., Server]

GOOD = """
from tabpy.tabpy_tools.endpoint import endpoint

@endpoint(name="Doubled")
def doubled(values: list[float]) -> list[float]:
    return [2 / value for value in values]
"""


def page_of(server: Server, path: str = "/") -> str:
    reply = server.request("GET", path)
    assert reply.status == 200
    return reply.body.decode()


def figure(page: str, name: str) -> int:
    [found] = re.findall(f'id="{name}">([0-9]+)<', page)
    return int(found)


def test_every_web_process_tells_the_same(start: Start, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "good.py").write_text(GOOD)
    (models / "broken.py").write_text("import no_such_package")
    server = start({"WEB_CONCURRENCY": "2", "TABPY_MODELS_PATH": str(models)})
    until(lambda: "models/broken.py" in page_of(server), "the page names what failed")
    statuses = [server.query("Doubled", [value]).status for value in (1, 2, 0) * 8]
    assert (statuses.count(200), statuses.count(500)) == (16, 8)
    for _ in range(10):  # each by a connection of its own
        status, function = page_of(server), page_of(server, "/page/functions/Doubled")
        assert "1 thing needs somebody" in status
        assert "models/broken.py: ModuleNotFoundError" in status
        assert (figure(function, "calls"), figure(function, "errors")) == (24, 8)


def test_the_page_says_that_the_database_is_down_and_tells_no_secret(start: Start) -> None:
    server = start({"TABPY_DATABASE_URL": "postgresql://anna:secret@127.0.0.1:1/tabpy"})
    started = time.monotonic()
    page = page_of(server)
    assert time.monotonic() - started < 5
    assert 'id="finding-store"' in page
    assert '<b id="functions">not known</b>' in page
    assert "Everything works" not in page
    assert "secret" not in page
    assert server.evaluate("return 1").json == 1  # scripts run without it


def test_a_browser_reads_why_the_list_of_functions_is_not_there(start: Start) -> None:
    server = start({"TABPY_DATABASE_URL": "postgresql://anna:secret@127.0.0.1:1/tabpy"})
    reply = server.request("GET", "/page/functions", headers={"Accept": "text/html"})
    assert reply.status == 503
    assert reply.headers["Content-Type"].startswith("text/html")
    assert "<h1>" in reply.body.decode()
