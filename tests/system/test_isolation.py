"""What a script leaves behind in its worker reaches nobody else."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from tests.running import PASSWORD, Reply, Server, until

Start = Callable[..., Server]

LEAVE = "import string\nstring.left = _arg1\nimport os\nreturn os.getpid()"
LOOK = "import string\nreturn getattr(string, 'left', 'nothing')"
USERS = {"anna": PASSWORD, "bob": PASSWORD}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"}


def evaluate(server: Server, user: str, script: str, *columns: str, viewer: str = "") -> Reply:
    return server.evaluate(script, *columns, user=user, headers={"TabPy-User": viewer})


def test_a_user_has_workers_of_their_own(start: Start, settings: dict[str, str]) -> None:
    server = start(settings, users=USERS)
    first = evaluate(server, "anna", LEAVE, "anna's").json
    assert evaluate(server, "anna", LOOK).json == "anna's"
    assert evaluate(server, "bob", LOOK).json == "nothing"
    assert evaluate(server, "anna", LOOK).json == "nothing"
    assert evaluate(server, "anna", LEAVE, "").json != first
    assert len(server.workers()) == 1


@pytest.mark.parametrize(
    ("isolation", "same_viewer", "other_viewer"),
    [
        ("user", "anna's", "anna's"),
        ("viewer", "anna's", "nothing"),
        ("job", "nothing", "nothing"),
        ("off", "anna's", "anna's"),
    ],
)
def test_so_has_a_viewer_or_a_job_if_wanted(
    start: Start, settings: dict[str, str], isolation: str, same_viewer: str, other_viewer: str
) -> None:
    server = start({**settings, "TABPY_SCRIPT_ISOLATION": isolation}, users=USERS)
    evaluate(server, "anna", LEAVE, "anna's", viewer="one")
    assert evaluate(server, "anna", LOOK, viewer="one").json == same_viewer
    assert evaluate(server, "anna", LOOK, viewer="two").json == other_viewer
    others = "anna's" if isolation == "off" else "nothing"
    assert evaluate(server, "bob", LOOK, viewer="one").json == others


def test_one_users_hanging_scripts_leave_a_worker_for_the_others(start: Start) -> None:
    server = start({"TABPY_WORKERS": "2"}, users=USERS)  # with the usual time-out
    hang = f"open({str(server.notes)!r} + f'/{{_arg1}}', 'w'); import time; time.sleep(99)"
    with ThreadPoolExecutor(100) as threads:
        hanging = [threads.submit(evaluate, server, "anna", hang, str(each)) for each in range(50)]
        until(lambda: len([*server.notes.iterdir()]) == len(server.workers()), "all workers hang")
        good = [threads.submit(evaluate, server, "bob", f"return {each}") for each in range(50)]
        assert [each.result(20).json for each in good] == [*range(50)]
        assert not any(each.done() for each in hanging)
        server.kill()  # nobody waits for the end of the others
        assert all(isinstance(each.exception(), OSError | HTTPException) for each in hanging)
