"""A server with what the manifests set, in a pod as far as this machine can imitate one."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tests.attacks.house import landlock_abi
from tests.kubernetes.manifests import CONTAINER, POD, metrics
from tests.kubernetes.pod import Pod, unavailable
from tests.running import PASSWORD, PATIENCE, USER, until

PASSWORD_FILE = "tabpypwd.txt"
LATER = "later"
# Nobody answers at this address: the database is away.
SECRETS = {("tabpy-database", "uri"): "postgres://tabpy:made-up@127.0.0.1:1/tabpy"}
WRITE = """
try:
    open(_arg1, 'w').close()
    return 'written'
except OSError as error:
    return type(error).__name__
"""
needs_landlock = pytest.mark.skipif(landlock_abi() < 1, reason="this kernel has no Landlock")


class Secret:
    """A volume of a Secret: the file is a link to one in a hidden folder that is replaced as a
    whole, by https://kubernetes.io/docs/concepts/configuration/secret/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / PASSWORD_FILE).symlink_to(f"..data/{PASSWORD_FILE}")

    def update(self, version: str, *users: str) -> None:
        there = self.folder / f"..{version}"
        there.mkdir()
        lines = [f"{name} {hash_password(name, PASSWORD, CHEAPEST)}\n" for name in users]
        (there / PASSWORD_FILE).write_text("".join(lines))
        new = self.folder / "..data_tmp"
        new.symlink_to(there.name)
        os.rename(new, self.folder / "..data")  # noqa: PTH104


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Secret:
    made = Secret(tmp_path_factory.mktemp("secret") / "users")
    made.update("2026_01", USER)
    return made


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory, secret: Secret) -> Iterator[Pod]:
    if reason := unavailable():
        pytest.skip(reason)
    running = Pod(tmp_path_factory.mktemp("pod"), secret.folder, SECRETS)
    running.wait_until_ready()
    yield running
    running.kill()


def test_it_answers_its_probes_and_runs_scripts_though_the_database_is_away(pod: Pod) -> None:
    def is_right(path: str) -> bool:
        return pod.request("GET", path, user=None).status == 200

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = CONTAINER[probe]["httpGet"]["path"]
        until(partial(is_right, path), f"{path} is right")
    assert pod.evaluate("return [2 * each for each in _arg1]", [1, 2]).json == [2, 4]


def test_it_is_the_pods_first_process_and_has_its_user_and_no_rights(pod: Pod) -> None:
    assert pod.evaluate("import os; return [os.getuid(), os.getgid()]").json == [
        POD["securityContext"]["runAsUser"],
        POD["securityContext"]["runAsGroup"],
    ]
    status = Path(f"/proc/{pod.first_process().pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NSpid"].split()[-1] == "1"
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_scripts_are_confined_by_all_that_the_kernel_has(pod: Pod) -> None:
    [line] = pod.log_lines("msg=confinement")
    assert f"landlock={landlock_abi()} " in line
    assert "seccomp=True" in line


@needs_landlock
@pytest.mark.parametrize("place", ["/state/x", "/users/x", "/app/tabpy/x", "/etc/x", "/x"])
def test_scripts_write_nowhere_but_to_their_temporary_folder(pod: Pod, place: str) -> None:
    assert pod.evaluate(WRITE, place).json in ("PermissionError", "OSError")
    temporary = "import tempfile; tempfile.TemporaryFile().write(b'x'); return 'written'"
    assert pod.evaluate(temporary).json == "written"


@needs_landlock
@pytest.mark.parametrize("place", [PASSWORD_FILE, f"..data/{PASSWORD_FILE}", "."])
def test_scripts_do_not_see_the_secrets(pod: Pod, place: str) -> None:
    script = "import os; return os.listdir(_arg1) if os.path.isdir(_arg1) else open(_arg1).read()"
    status, _, info = pod.evaluate(script, f"/users/{place}").error
    assert (status, info.split(" :")[0]) == (500, "PermissionError")
    seen = pod.evaluate("import os; return dict(os.environ)").json
    assert "TABPY_DATABASE_URL" not in seen
    assert "made-up" not in str(seen)


def test_a_user_who_is_added_to_the_secret_gets_in_without_a_restart(
    pod: Pod, secret: Secret
) -> None:
    assert pod.request("GET", "/info", user=LATER).status == 401
    secret.update("2026_02", USER, LATER)
    until(lambda: pod.request("GET", "/info", user=LATER).status == 200, "the new user gets in")


@pytest.mark.parametrize("metric", metrics())
def test_it_has_the_figure_that_an_autoscaler_looks_at(pod: Pod, metric: str) -> None:
    def shown() -> bool:
        figures = pod.request("GET", "/metrics").body.decode()
        # Of the whole pod: no label but that of the machine.
        line = rf'^{metric}({{machine="[^"]*"}})? 0.0$'
        return re.search(line, figures, re.MULTILINE) is not None

    until(shown, f"{metric} is there")


def test_sigterm_closes_the_port_and_lets_scripts_finish(pod: Pod) -> None:
    script = "import socket; return socket.create_connection(('127.0.0.1', _arg1)).recv(9).decode()"
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(pod.evaluate, script, listener.getsockname()[1])
        listener.settimeout(PATIENCE)
        connection, _ = listener.accept()  # the script runs
        pod.first_process().send_signal(signal.SIGTERM)
        until(lambda: not pod.accepts(), "new connections are refused")
        with connection:
            connection.sendall(b"finished")
        assert answer.result().json == "finished"
    assert pod.process.wait(PATIENCE) == 0
