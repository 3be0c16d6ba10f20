"""Scripts on a Ray cluster of two nodes: what is other than on one machine."""

import concurrent.futures
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.deploying import deploy, redeploy
from tests.ray.cluster import RayCluster, actor_of, running_cluster, stop_process
from tests.running import Server, until

pytest.importorskip("ray", reason="Ray isn't installed: it has no wheels for this Python")

PATIENCE = 90.0  # seconds: new actors on a slow machine
WHO = "import os\nreturn os.getpid()"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def server(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One web process, at most two workers, and a second for each script."""
    running = begin(cluster, tmp_path_factory.mktemp("ray"))
    yield running
    running.kill()


def begin(cluster: RayCluster, folder: Path, **more: str) -> Server:
    settings = {
        "WEB_CONCURRENCY": "1",
        "TABPY_WORKERS": "2",
        "TABPY_EVALUATE_TIMEOUT": "20",
        "TABPY_PRELOAD": "numpy",
        **cluster.settings,
        **more,
    }
    server = Server(folder, settings)
    until(lambda: server._answers() and answers(server), "scripts are run", PATIENCE)
    return server


def answers(server: Server) -> bool:
    return bool(server.evaluate("return 1").json == 1)


def plus(x: int) -> int:
    return x + 1


def plus_two(x: int) -> int:
    return x + 2


def test_what_is_large_goes_there_and_back(server: Server) -> None:
    column = [float(each) for each in range(400_000)]
    assert server.evaluate("return _arg1", column).json == column


def test_a_function_is_deployed_called_and_replaced(server: Server) -> None:
    assert deploy(server, "plus", plus).status == 201
    assert server.query("plus", 1).json["response"] == 2
    assert server.evaluate("return tabpy.query('plus', 2)['response']").json == 3
    assert redeploy(server, "plus", plus_two).status == 200
    assert server.query("plus", 1).json["response"] == 3
    assert server.evaluate("return tabpy.query('plus', 2)['response']").json == 4


def test_an_archive_that_is_damaged_on_a_node_is_sent_again(server: Server) -> None:
    def times(x: int) -> int:
        return 3 * x

    assert deploy(server, "times", times).status == 201
    folder = Path(f"/tmp/tabpy-archives-{os.getuid()}")
    for file in folder.iterdir():
        file.write_bytes(b"damaged")
    assert server.query("times", 2).json["response"] == 6
    for file in folder.iterdir():
        file.write_bytes(b"damaged")
    assert redeploy(server, "times", times).status == 200


def test_workers_follow_the_queue(server: Server) -> None:
    script = "import os, time\ntime.sleep(1)\nreturn os.getpid()"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        pids = {each.json for each in pool.map(lambda _: server.evaluate(script), range(4))}
    assert len(pids) == 2  # TABPY_WORKERS, though one was enough before


def test_no_script_reads_the_clusters_token(cluster: RayCluster, server: Server) -> None:
    token = cluster.environment["RAY_AUTH_TOKEN_PATH"]
    reply = server.evaluate("return open(_arg1).read()", token)
    assert reply.json["info"].startswith("PermissionError")
    shown = server.evaluate("import os\nreturn [*os.environ]").json
    assert not [name for name in shown if name.startswith("RAY_")]


def test_a_script_that_hangs_is_replaced_within_three_seconds(
    cluster: RayCluster, tmp_path: Path
) -> None:
    server = begin(cluster, tmp_path, TABPY_WORKERS="1", TABPY_EVALUATE_TIMEOUT="4")
    try:
        pid = server.evaluate(WHO).json
        assert server.evaluate("while True: pass").status == 408
        begun = time.monotonic()
        assert server.evaluate(WHO).json != pid
        assert time.monotonic() - begun < 3
        until(lambda: not psutil.pid_exists(pid), "the one that hung has ended")
    finally:
        server.kill()


def test_an_actor_that_hangs_is_killed(cluster: RayCluster, tmp_path: Path) -> None:
    server = begin(cluster, tmp_path, TABPY_WORKERS="1", TABPY_EVALUATE_TIMEOUT="4")
    try:
        actor = actor_of(server.evaluate(WHO).json)
        stop_process(actor)
        assert server.evaluate("return 1").status == 408
        until(lambda: not actor.is_running(), "it is gone", PATIENCE)
        until(lambda: answers(server), "another one is there", PATIENCE)
    finally:
        server.kill()


def test_a_node_that_dies_takes_its_scripts_with_it_and_nothing_else(
    cluster: RayCluster, server: Server
) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        begin = "open(_arg1 + str(os.getpid()), 'w').close()\ntime.sleep(15)\nreturn 'done'"
        script = f"import os, time\n{begin}"
        marks = str(server.notes / "runs-")
        running = [pool.submit(server.evaluate, script, marks) for _ in range(2)]
        until(lambda: len([*server.notes.glob("runs-*")]) == 2, "both run", PATIENCE)
        cluster.kill_node(cluster.nodes[1])
        replies = [each.result() for each in running]
    lost = [each for each in replies if each.status == 500]
    assert all("was lost with its node of the Ray cluster" in each.json["info"] for each in lost)
    assert all(each.json == "done" for each in replies if each not in lost)
    until(lambda: answers(server), "the other node goes on", PATIENCE)
    cluster.start_node()


def test_a_cluster_that_is_gone_is_said_to_be_and_comes_back(
    cluster: RayCluster, server: Server
) -> None:
    for node in [*cluster.nodes]:
        cluster.kill_node(node)
    until(lambda: told(server) == 503, "it is said", PATIENCE)
    cluster.start_head()
    cluster.start_node()
    until(lambda: told(server) == 200, "scripts are run again", PATIENCE)


def told(server: Server) -> int:
    """The status of a script; 0 while the server is between two web processes."""
    try:
        return server.evaluate("return 1").status
    except OSError:
        return 0


def test_without_a_cluster_the_server_says_so(start: Callable[..., Server]) -> None:
    settings = {"TABPY_EXECUTOR": "ray", "RAY_ADDRESS": "127.0.0.1:9", "WEB_CONCURRENCY": "1"}
    server = start(settings)
    status, message, _ = server.evaluate("return 1").error
    assert (status, message) == (503, "The machines that run scripts can't be reached.")
    assert json.dumps("127.0.0.1:9") not in server.evaluate("return 1").body.decode()
