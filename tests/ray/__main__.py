"""`python -m tests.ray [options of pytest]`: the tests of scripts, functions and the client as they
are, with their scripts on a Ray cluster of two nodes, one of which is killed in the middle."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.ray.cluster import RayCluster, running_cluster
from tests.ray.halfway import SIGN
from tests.running import ELSEWHERE, until

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/system/test_evaluate.py",
    "tests/system/test_query.py",
    "tests/client/test_deploy.py",
    "tests/client/test_guide.py",
    "tests/client/test_on_a_server.py",
)
# Tests of what only a server has whose workers are on its own machine, and why.
ELSEWHERE_OTHERWISE = {
    "tests/system/test_evaluate.py::test_a_server_whose_folder_is_removed_goes_on": (
        "the folder is the server's, and no worker is there"
    ),
    "tests/system/test_evaluate.py::test_a_script_cannot_look_into_the_servers_processes": (
        "it takes rights from the server, and the nodes keep theirs"
    ),
}


def main() -> int:
    """Return pytest's exit code, or 1 if it ended before its half; 0 where there is no Ray."""
    if importlib.util.find_spec("ray") is None:
        print("Skipped: Ray isn't installed, or has no wheels for this Python.")
        return 0
    with running_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        sign = Path(folder) / "halfway"
        leave_out = [f"--deselect={each}" for each in ELSEWHERE_OTHERWISE]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.ray.halfway"]
        tests = subprocess.Popen(
            [*command, *leave_out, *(sys.argv[1:] or TESTS)],
            cwd=ROOT,
            env={
                **os.environ,
                **cluster.environment,
                "PYTHONPATH": str(ROOT),
                ELSEWHERE: json.dumps(cluster.settings),
                SIGN: str(sign),
            },
        )
        try:
            until(lambda: sign.exists() or tests.poll() is not None, "half is done", seconds=3600)
            if tests.poll() is None:
                _kill_one(cluster)
                sign.unlink()
                return tests.wait()
            return tests.returncode or 1
        finally:
            tests.kill()


def _kill_one(cluster: RayCluster) -> None:
    print("\na node is killed", flush=True)
    cluster.kill_node(cluster.nodes[1])
    until(lambda: cluster.alive() == 1, "the cluster knows", seconds=120)


if __name__ == "__main__":
    sys.exit(main())
