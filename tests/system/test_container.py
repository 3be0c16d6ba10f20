"""In a container that is short of memory, the script goes that takes it, and nothing else."""

import concurrent.futures
import shlex
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dyno import Memory
from tests.running import Server, until

MEMORY_MB = 400
ALLOWED_MB = 150


class Container(Server):
    """A server in a container of 400 MB, with a file in /dev/shm that its scripts may write."""

    def __init__(self, folder: Path) -> None:
        self.memory = Memory(MEMORY_MB)
        self.shared = Path("/dev/shm", f"tabpy-test-{uuid.uuid4().hex}")
        if not self.memory.enforced:
            pytest.skip("only root can make a cgroup")
        settings = {
            "WEB_CONCURRENCY": "2",
            "TABPY_WORKERS": "2",
            "TABPY_SCRIPT_MEMORY_MB": str(ALLOWED_MB),
        }
        command = self.memory.around(f"exec {shlex.join([sys.executable, '-m', 'tabpy'])}")
        super().__init__(folder, settings, command=command)

    def lasting(self) -> set[int]:
        """The processes that have to outlive any script: all but the workers."""
        return {self.psutil.pid, self.template().pid, *(each.pid for each in self.web_processes())}

    def kill(self) -> None:
        super().kill()
        self.shared.unlink(missing_ok=True)
        self.memory.remove()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    running = Container(tmp_path)
    try:
        yield running.wait_until_ready()  # type: ignore[misc]
    finally:
        running.kill()


# Not as fast as they can: what the server can't see coming is the kernel's to end.
BEGIN = "import threading\npause = lambda: threading.Event().wait(0.02)\n"
HOLD = "\nthreading.Event().wait(20)\nreturn 'survived'"
ATTACKS = {
    "E1: child processes": (
        "import subprocess, sys\n"
        "code = 'import time\\nkept = []\\nfor _ in range(100):\\n'\n"
        "code += ' kept.append(bytearray(1 << 20)); time.sleep(0.02)\\ninput()'\n"
        "kept = [subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE)\n"
        "        for _ in range(4)]"
    ),
    "E2: memfd": (
        "import os\nfd = os.memfd_create('x')\n"
        "for _ in range(600): os.write(fd, bytes(1 << 20)), pause()"
    ),
    "E4: /dev/shm": (
        "file = open(_arg1, 'wb')\nfor _ in range(600): file.write(bytes(1 << 20)), pause()"
    ),
    "E5: buffers of sockets": (
        "import socket\nkept = []\n"
        "for _ in range(4000):\n"
        "    pair = socket.socketpair()\n"
        "    pair[0].setblocking(False)\n"
        "    kept.append(pair)\n"
        "    try:\n"
        "        while True: pair[0].send(bytes(1 << 16))\n"
        "    except BlockingIOError: threading.Event().wait(0.005)"
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_script_that_takes_all_memory_takes_nobody_along(
    container: Container, attack: str
) -> None:
    until(lambda: len(container.web_processes()) == 2, "both web processes")
    lasting = container.lasting()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        attacking = threads.submit(
            container.evaluate, BEGIN + ATTACKS[attack] + HOLD, str(container.shared)
        )
        answers = []
        while not attacking.done():
            answers.append(container.evaluate("return 1").json)
    status, message, info = attacking.result().error
    assert (status, message) == (500, "Error processing script")
    assert "TABPY_SCRIPT_MEMORY_MB" in info
    assert answers.count(1) > len(answers) / 2
    container.shared.unlink(missing_ok=True)
    assert [container.evaluate("return 1").json for _ in range(4)] == [1] * 4
    assert container.lasting() == lasting
    assert container.memory.kills() == 0
