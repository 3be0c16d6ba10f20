"""A Ray cluster of the tests' own: a head node and one more, on this machine."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.running import OWN_GROUP, free_port, is_dead, until

PATIENCE = 90.0  # seconds that a node may take to start on a slow machine
CPUS = "16"  # what each node says it has: scheduling counts these, and nothing else
STORE = str(120_000_000)  # bytes, the least but for some
COUNT = """
import os, sys, ray
ray.init(os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level=40)
print(sum(each["Alive"] for each in ray.nodes()))
"""


class RayCluster:
    """Each node is a process group: what `ray start --block` has started."""

    def __init__(self, folder: Path) -> None:
        """Start both. `folder` has a short path, since sockets lie in it."""
        self._folder = folder
        self._port = free_port()
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        # How a node, and a server, is let in.
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": f"127.0.0.1:{self._port}",
        }
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.start_head()
        self.start_node()

    @property
    def settings(self) -> dict[str, str]:
        """Of a server that runs its scripts here."""
        return {"TABPY_EXECUTOR": "ray", **self.environment}

    def start_head(self) -> None:
        self._start("--head", "--include-dashboard=false", f"--temp-dir={self._folder}/ray")

    def start_node(self) -> None:
        self._start(f"--address=127.0.0.1:{self._port}")

    def _start(self, *arguments: str) -> None:
        ray = Path(sys.executable).with_name("ray")
        ports = [f"--port={self._port}"] if "--head" in arguments else []
        log = self._folder / f"node{secrets.token_hex(4)}.txt"
        with log.open("w") as output:
            node = subprocess.Popen(
                [
                    ray, "start", "--block", "--disable-usage-stats", f"--num-cpus={CPUS}",
                    f"--object-store-memory={STORE}", "--min-worker-port=0", "--max-worker-port=0",
                    *ports, *arguments,
                ],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **OWN_GROUP,
            )  # fmt: skip
        self.nodes.append(node)
        until(lambda: "Ray runtime started" in log.read_text(), "a node is there", PATIENCE)

    def kill_node(self, node: "subprocess.Popen[bytes]") -> None:
        """SIGKILL to all processes of a node, and below it, as when a machine loses its power."""
        everybody = [psutil.Process(node.pid)]
        everybody += everybody[0].children(recursive=True)
        for each in everybody:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        node.wait()
        until(lambda: all(map(is_dead, everybody)), "a node is gone")
        self.nodes.remove(node)

    def alive(self) -> int:
        """How many nodes there are, by the head node's word."""
        counted = subprocess.run(
            [sys.executable, "-c", COUNT],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=True,
        )
        return int(counted.stdout.split()[0])  # Ray may say something more

    def stop(self) -> None:
        for node in [*self.nodes]:
            self.kill_node(node)


@contextmanager
def running_cluster() -> Iterator[RayCluster]:
    """Two nodes, which are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tabpy-ray-"))
    cluster = None
    try:
        cluster = RayCluster(folder)
        yield cluster
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def actor_of(pid: int) -> psutil.Process:
    """The process of the actor below which a worker runs."""
    above = psutil.Process(pid).parents()
    return next(each for each in above if each.cmdline()[0].startswith("ray::"))


def stop_process(process: psutil.Process) -> None:
    process.send_signal(signal.SIGSTOP)
