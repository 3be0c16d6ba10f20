"""GET /metrics: what an operator's Prometheus sees, whichever web process it asks."""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.running import Server, until

Start = Callable[..., Server]


@pytest.fixture
def server(start: Start) -> Server:
    settings = {"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1", "TABPY_EVALUATE_TIMEOUT": "1"}
    return start(settings)


def value(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    reply = server.request("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    samples = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", reply.body.decode(), re.MULTILINE)
    wanted = [f'{label}="{text}"' for label, text in labels.items()]
    return sum(float(number) for own, number in samples if all(each in own for each in wanted))


def test_it_is_closed(server: Server) -> None:
    assert server.request("GET", "/metrics", user=None).status == 401


def test_requests_of_all_web_processes_are_counted_by_route_and_status(server: Server) -> None:
    for _ in range(20):
        assert server.evaluate("return 1").status == 200
    assert server.evaluate("return 1 / 0").status == 500
    assert server.request("GET", "/some/secret/path").status == 404

    def counted(route: str, status: str) -> float:
        return value(server, "tabpy_requests_total", route=route, status=status)

    until(lambda: counted("/evaluate", "200") == 20, "all twenty")
    assert counted("/evaluate", "500") == 1
    assert counted("unknown", "404") == 1
    assert value(server, "tabpy_job_run_seconds_count", route="/evaluate") == 21
    assert value(server, "tabpy_job_queued_seconds_count") == 21


def test_counts_outlive_the_web_process_that_counted(server: Server) -> None:
    for _ in range(10):
        server.evaluate("return 1")
    count = ("tabpy_requests_total",)
    until(lambda: value(server, *count, route="/evaluate") == 10, "all ten")
    server.web_processes()[0].kill()
    until(lambda: len(server.web_processes()) == 2, "another web process")
    until(lambda: len(server.workers()) == 2, "with its worker")
    assert value(server, *count, route="/evaluate") == 10
    server.evaluate("return 1")
    until(lambda: value(server, *count, route="/evaluate") == 11, "counting goes on")


def test_counts_outlive_a_web_process_that_ends_in_order(start: Start, tmp_path: Path) -> None:
    server = start({"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1"})
    before = server.web_processes()
    go_on = tmp_path / "go on"
    script = f"import pathlib\nwhile not pathlib.Path({str(go_on)!r}).exists(): pass\nreturn 1"
    for _ in range(10):
        server.evaluate("return 1")
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(server.evaluate, script)
        until(lambda: value(server, "tabpy_jobs_running") == 1, "it runs")
        for each in before:
            each.terminate()
        go_on.touch()
        assert slow.result().status == 200
    until(lambda: not {*before} & {*server.web_processes()}, "the old ones are gone")
    until(lambda: len(server.workers()) == 2, "the new ones answer")
    assert value(server, "tabpy_requests_total", route="/evaluate", status="200") == 11


def test_jobs_that_never_got_a_worker_have_waited_and_not_run(start: Start) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1", "TABPY_EVALUATE_TIMEOUT": "1"})
    with ThreadPoolExecutor(8) as threads:
        replies = threads.map(server.evaluate, ["while True: pass"] * 8)
        statuses = Counter(each.status for each in replies)
    assert set(statuses) == {408, 503}
    assert value(server, "tabpy_job_queued_seconds_count") == 8
    assert value(server, "tabpy_job_queued_seconds_sum") >= 0.9 * statuses[503]
    assert value(server, "tabpy_job_run_seconds_count") == statuses[408]
    refused = server.log_lines("route=/evaluate", "status=503")
    assert all(float(re.findall(r"queued_ms=(\S+)", each)[0]) >= 900 for each in refused)


def test_without_a_folder_to_write_to_scripts_run_and_are_counted(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "in")  # where the default state folder would be
    server = start({"TABPY_STATE_PATH": "-", "XDG_DATA_HOME": nowhere, "TMPDIR": str(tmp_path)})
    assert server.evaluate("return 1").json == 1
    assert server.request("GET", "/endpoints").status == 503
    until(lambda: value(server, "tabpy_requests_total", route="/evaluate") == 1, "it's counted")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("while True: pass", "time-out"),
        ("import os; os._exit(1)", "died"),
        ("import threading; threading.Timer(9, int).start()", "worn out"),
    ],
)
def test_workers_that_end_are_counted_by_reason(server: Server, script: str, reason: str) -> None:
    server.evaluate(script)
    until(lambda: value(server, "tabpy_worker_ends_total", reason=reason) == 1, "counted")
    until(lambda: value(server, "tabpy_worker_starts_total") == 3, "and its successor")


def test_memory_and_processes_are_told_by_role(server: Server) -> None:
    until(lambda: value(server, "tabpy_processes", role="worker") == 2, "two workers")
    assert value(server, "tabpy_processes", role="web") == 2
    assert value(server, "tabpy_memory_resident_bytes", role="web") > 20_000_000
    assert value(server, "tabpy_memory_limit_bytes") > 100_000_000


def test_it_names_no_path_and_no_user(server: Server) -> None:
    server.request("GET", "/some/secret/path")
    server.request("POST", "/query/secret-name", '{"data": []}')
    text = server.request("GET", "/metrics").body.decode()
    assert "secret" not in text
    assert "paolo" not in text
