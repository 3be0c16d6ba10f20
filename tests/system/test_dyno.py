"""The bundle on a dyno of 512 MB: the three ways to get there, and what it bears."""

import concurrent.futures
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.replay import difference
from tests.dyno import MEMORY_MB, ROOT, Dyno, clone, git, push
from tests.running import until

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="Heroku gets what git has, and this isn't a checkout of git",
)

EXAMPLES = sorted(file.parent.name for file in (ROOT / "examples").glob("*/request.json"))
Arrive = Callable[[Path], tuple[Path, dict[str, str], str, str]]


def by_the_button(folder: Path) -> tuple[Path, dict[str, str], str, str]:
    """app.json's variables, filled in as Heroku's form does for somebody who changes nothing."""
    app = push(clone(folder / "clone"), folder / "app")
    variables = json.loads((app / "app.json").read_text())["env"]
    config = {
        name: secrets.token_hex(32) if each.get("generator") == "secret" else each["value"]
        for name, each in variables.items()
    }
    return app, config, config["TABPY_USERNAME"], config["TABPY_PASSWORD"]


def with_a_fork(folder: Path) -> tuple[Path, dict[str, str], str, str]:
    """A user in tabpypwd.txt, committed; no variables."""
    fork = clone(folder / "fork")
    added = subprocess.run(
        [sys.executable, "-m", "tabpy.commands.user", "add", "-u", "paolo", "-f", "tabpypwd.txt"],
        cwd=fork,
        env={**os.environ, "PYTHONPATH": str(fork)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    git("-C", fork, "commit", "--quiet", "--all", "--message", "A user")
    return push(fork, folder / "app"), {}, "paolo", added.stdout.strip()


def with_git_push(folder: Path) -> tuple[Path, dict[str, str], str, str]:
    """The repository as it is, and two variables that somebody set."""
    password = secrets.token_urlsafe(16)
    config = {"TABPY_USERNAME": "Anna", "TABPY_PASSWORD": password}
    return push(clone(folder / "clone"), folder / "app"), config, "anna", password


@pytest.fixture
def boot() -> Iterator[Callable[..., Dyno]]:
    """Boot a dyno; it's killed when the test ends."""
    dynos: list[Dyno] = []

    def boot_one(folder: Path, config: dict[str, str]) -> Dyno:
        dynos.append(Dyno(folder, config))
        return dynos[-1]

    yield boot_one
    for dyno in dynos:
        dyno.kill()


@pytest.mark.parametrize("arrive", [by_the_button, with_a_fork, with_git_push])
def test_each_way_in_ends_at_a_page_that_asks_for_the_user(
    boot: Callable[..., Dyno], tmp_path: Path, arrive: Arrive
) -> None:
    app, config, user, password = arrive(tmp_path)
    dyno = boot(app, config).wait_until_ready()

    for wrong in (None, user):
        reply = dyno.request("GET", "/", user=wrong, password="fake")
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"].startswith("Basic ")
    page = dyno.request("GET", "/", user=user, password=password).body.decode()
    assert '<b id="authentication">required</b>' in page
    assert '<code id="method">basic-auth</code>' in page
    connect = dyno.request("GET", "/page/connect", user=user, password=password).body.decode()
    assert f'<dd id="user">{user}</dd>' in connect
    features = dyno.request("GET", "/info", user=user, password=password).json["versions"]["v1"]
    assert features["features"]["authentication"] == {
        "required": True,
        "methods": {"basic-auth": {}},
    }
    assert password not in dyno.log
    assert password not in page
    assert dyno.stop() == 0


def test_a_push_without_any_user_says_what_is_missing(
    boot: Callable[..., Dyno], tmp_path: Path
) -> None:
    code, output = boot(push(clone(tmp_path / "clone"), tmp_path / "app"), {}).end()

    assert code == 2
    [line] = [line for line in output.splitlines() if line.startswith("tabpy: ")]
    assert "There is no user" in line
    assert "TABPY_USERNAME and TABPY_PASSWORD" in line


@pytest.fixture(scope="module")
def dyno(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dyno]:
    """One for all tests that it has to outlive."""
    app, config, user, password = by_the_button(tmp_path_factory.mktemp("dyno"))
    running = Dyno(app, config, user=user, password=password)
    running.wait_until_ready()
    yield running
    running.kill()


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_replies_to_each_example_as_it_should(dyno: Dyno, example: str) -> None:
    folder = dyno.folder / "examples" / example
    reply = dyno.request(
        "POST", "/evaluate", (folder / "request.json").read_bytes(), **dyno.credentials
    )

    assert reply.status == 200
    assert difference(json.loads((folder / "reply.json").read_text()), reply.json) == ""


def evaluate_all(dyno: Dyno) -> list[tuple[int, str, str]]:
    """Send each example four times, eight at a time; return the errors."""
    bodies = [
        (dyno.folder / "examples" / name / "request.json").read_bytes() for name in EXAMPLES * 4
    ]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        replies = threads.map(
            lambda body: dyno.request("POST", "/evaluate", body, **dyno.credentials), bodies
        )
        return [reply.error for reply in replies if reply.status != 200]


def test_many_at_a_time_stay_within_its_memory(dyno: Dyno) -> None:
    assert evaluate_all(dyno) == []
    if dyno.memory.enforced:
        assert dyno.memory.kills() == 0
    elif os.geteuid() != 0:
        pytest.skip("only root may measure the memory of these processes")
    assert dyno.taken_mb() < MEMORY_MB


def test_many_as_soon_as_it_has_started_stay_within_its_memory(
    boot: Callable[..., Dyno], tmp_path: Path
) -> None:
    """While libraries are still imported for all, no worker imports them for itself."""
    app, config, user, password = by_the_button(tmp_path)
    dyno = boot(app, config)
    dyno.wait_until_ready()
    dyno.credentials = {"user": user, "password": password}

    assert evaluate_all(dyno) == []
    if dyno.memory.enforced:
        assert dyno.memory.kills() == 0


@pytest.mark.parametrize("scripts", [1, 4])
def test_scripts_of_300_mb_end_and_nothing_else_does(dyno: Dyno, scripts: int) -> None:
    before = dyno.lasting()
    script = "taken = b'x' * (300 * 2**20)\nwhile True: pass"
    with concurrent.futures.ThreadPoolExecutor(scripts) as threads:
        replies = threads.map(lambda _: dyno.evaluate(script, **dyno.credentials), range(scripts))

    for reply in replies:
        status, message, info = reply.error
        assert (status, message) == (500, "Error processing script")
        assert re.search(r"took more than \d+ MB|memory ran short|SIGKILL", info)
    until(lambda: dyno.evaluate("return 1", **dyno.credentials).status == 200, "it goes on")
    assert dyno.lasting() == before
