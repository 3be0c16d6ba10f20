"""A pod without Kubernetes: the base's container in namespaces of the kernel's, by unshare.

Its first process is the server. It has the pod's user and no rights, sees the machine's files
read-only, and beside them what a pod has: the image's /app, and the volumes. What it lacks is the
container runtime's own filter of system calls, a network of its own, and limits.
"""

import functools
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.kubernetes.manifests import CONTAINER, POD, ROOT, pod_environment
from tests.running import Server, until

OUTSIDE = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
OF_THE_IMAGE = ("tabpy", "models", "docs", "pyproject.toml")  # what the Dockerfile puts into /app

# Makes the pod's root out of the machine's, then becomes the server. `writable` and `given` are the
# volumes: empty folders, and folders of the machine's.
INSIDE = """
import ctypes, json, os, subprocess, sys
plan = json.loads(sys.argv[1])
root = plan["root"]
def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
def bind(source, place, *options):
    place = root + place
    if os.path.isdir(source):
        os.makedirs(place, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        open(place, "x").close()
    mount("--rbind", *options, source, place)
mount("-t", "tmpfs", "-o", "mode=755", "root", root)
hidden = [*plan["writable"], *plan["given"], "/app", "/proc"]
for name in os.listdir("/"):
    if os.path.islink("/" + name):
        os.symlink(os.readlink("/" + name), root + "/" + name)
    elif "/" + name not in hidden:
        bind("/" + name, "/" + name)
for name, source in plan["app"].items():
    bind(source, "/app/" + name)
for place in (*plan["writable"], *plan["given"], "/proc", "/old"):
    os.makedirs(root + place, exist_ok=True)
os.chdir(root)
subprocess.run(["pivot_root", ".", "old"], check=True)
root = ""
# mount_setattr(2): read-only, and all that is mounted below, too.
attributes = (ctypes.c_uint64 * 4)(1, 0, 0, 0)
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(442, -100, b"/", 0x8000, attributes, ctypes.c_size_t(32)) != 0:
    raise OSError(ctypes.get_errno(), "mount_setattr")
mount("-t", "proc", "proc", "/proc")
for place in plan["writable"]:
    mount("-t", "tmpfs", "-o", "mode=1777", "volume", place)
for place, source in plan["given"].items():
    mount("--bind", "-o", "ro", "/old" + source, place)
for place in plan["python"]:  # where it lies in what is hidden by a volume
    if not os.path.exists(place):
        bind("/old" + place, place)
subprocess.run(["umount", "-l", "/old"], check=True)
os.chdir(plan["folder"])
os.execvp("unshare", [
    "unshare", "--user", f"--map-user={plan['user']}", f"--map-group={plan['group']}", "--",
    "setpriv", "--no-new-privs", "--", *plan["command"],
])
"""


@functools.cache
def unavailable() -> str:
    """Why there can be no pod here; empty if there can."""
    if missing := [each for each in ("unshare", "setpriv", "pivot_root") if not _has(each)]:
        return f"util-linux is needed: {', '.join(missing)}"
    tried = subprocess.run(
        [*OUTSIDE, "mount", "-t", "proc", "proc", "/proc"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no user namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def _has(program: str) -> bool:
    return shutil.which(program) is not None


class Pod(Server):
    """The base's container, started. `users` is what its volume of the password file shows, and
    `secrets` are those that its environment has, by name and key."""

    def __init__(self, folder: Path, users: Path, secrets: dict[tuple[str, str], str]) -> None:
        mounts: Mapping[str, str] = {
            each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]
        }
        empty = [mounts[each["name"]] for each in POD["volumes"] if "emptyDir" in each]
        [given] = [mounts[each["name"]] for each in POD["volumes"] if "secret" in each]
        root = folder / "root"
        root.mkdir()
        plan = {
            "root": str(root),
            "app": {name: str(ROOT / name) for name in OF_THE_IMAGE},
            "writable": [*empty, "/dev/shm"],  # which every container has
            "given": {given: str(users)},
            "python": [sys.prefix, sys.base_prefix],
            "user": POD["securityContext"]["runAsUser"],
            "group": POD["securityContext"]["runAsGroup"],
            "folder": "/state",  # the image's WORKDIR
            "command": [sys.executable, "-m", "tabpy"],
        }
        command = [*OUTSIDE, sys.executable, "-c", INSIDE, json.dumps(plan)]
        environment = pod_environment(secrets)
        del environment["TABPY_PORT"]  # one that is free, in place of the image's
        own = dict.fromkeys(("TABPY_SCRIPT_WRITE", "TABPY_PRELOAD"), "-")  # of all tests' servers
        super().__init__(folder, {**own, **environment}, command=command)

    def first_process(self) -> psutil.Process:
        """The server, which unshare is the parent of."""
        [found] = until(self.psutil.children, "the pod has a process")
        return found  # type: ignore[no-any-return]

    def accepts(self) -> bool:
        """Whether the port is open."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True
