"""A dyno: the bundle in a foreign folder, started as Heroku does, with 512 MB for everything."""

import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.running import Server, free_port, until

ROOT = Path(__file__).parents[1]
MEMORY_MB = 512  # an Eco, Basic or Standard-1X dyno


def git(*arguments: str | Path) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def clone(folder: Path) -> Path:
    """A clone of the last commit of this checkout, with somebody to commit as."""
    git("clone", "--quiet", ROOT, folder)
    git("-C", folder, "config", "user.name", "Paolo")
    git("-C", folder, "config", "user.email", "paolo@example.com")
    return folder


def push(cloned: Path, folder: Path) -> Path:
    """`git push heroku`: what was committed lands in `folder`, without .git and all else."""
    remote = folder.parent / "heroku.git"
    git("init", "--quiet", "--bare", remote)
    git("-C", remote, "config", "receive.shallowUpdate", "true")  # continuous integration's clones
    git("-C", cloned, "push", "--quiet", remote, "HEAD:refs/heads/main")
    folder.mkdir()
    archive = folder.parent / "source.tar"
    git("-C", remote, "archive", "--output", archive, "main")
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    return folder


# What follows from the dyno's memory, for when the server can't see that: docs/settings.md, Memory.
UNSEEN = {"TABPY_SCRIPT_MEMORY_MB": "176"}


class Dyno(Server):
    """The web process type of the Procfile in `folder`, with the app's `config` variables.

    `credentials`: the user and password that let in, to be passed on with requests.
    """

    headers: Mapping[str, str] = {"X-Forwarded-Proto": "https"}  # by the router

    def __init__(self, folder: Path, config: Mapping[str, str], **credentials: Any) -> None:
        self.credentials = credentials
        self.memory = Memory(MEMORY_MB)
        port = free_port()
        environment = {
            **dict.fromkeys(
                ("TABPY_PORT", "TABPY_PWD_FILE", "TABPY_STATE_PATH", "TABPY_PRELOAD"), "-"
            ),
            "DYNO": "web.1",
            "PORT": str(port),
            "WEB_CONCURRENCY": "2",
            "FORWARDED_ALLOW_IPS": "*",
            "GUNICORN_CMD_ARGS": "--access-logfile -",
            "PYTHONUNBUFFERED": "true",
            "PYTHONPATH": str(folder),
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **({} if self.memory.enforced else UNSEEN),
            **config,
        }
        line = (folder / "Procfile").read_text().removeprefix("web: ").strip()
        super().__init__(folder, environment, command=self.memory.around(line), users={})
        self.port = port

    def lasting(self) -> set[int]:
        """The processes that have to outlive any script: all but the workers."""
        return {self.psutil.pid, self.template().pid, *(each.pid for each in self.web_processes())}

    def taken_mb(self) -> float:
        """What all processes take and can't give back, shared memory counted once: not the pages of
        files, which the kernel drops when it needs room. Only root may know."""
        files = [Path(f"/proc/{each.pid}/smaps_rollup") for each in self.tree()]
        found = [re.search(r"^Pss_Anon: *(\d+) kB", file.read_text(), re.M) for file in files]
        return sum(int(each[1]) for each in found if each) / 1024

    def kill(self) -> None:
        super().kill()
        self.memory.remove()


class Files(NamedTuple):
    """What the memory controller's files are called; https://docs.kernel.org/admin-guide/."""

    mounted: Path
    limit: str
    swap: str
    swap_limit: int
    events: str


VERSIONS = (
    Files(
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        MEMORY_MB << 20,
        "memory.oom_control",
    ),
    Files(Path("/sys/fs/cgroup"), "memory.max", "memory.swap.max", 0, "memory.events"),
)


class Memory:
    """A limit to what a process and its descendants take together, swap included.

    `enforced`: by a cgroup, in which they see the limit where a container does. Else, without root,
    each process has the limit for itself.
    """

    def __init__(self, megabytes: int) -> None:
        self.megabytes = megabytes
        for version in VERSIONS:
            self.files = version
            self.folder = version.mounted / f"tabpy-dyno-{secrets.token_hex(4)}"
            try:
                self.folder.mkdir()
                self._limit()
            except OSError:
                self.remove()
                continue
            self.enforced = True
            return
        self.enforced = False

    def _limit(self) -> None:
        if not (self.folder / "cgroup.procs").exists():
            raise FileNotFoundError("this is no cgroup")
        (self.folder / self.files.limit).write_text(str(self.megabytes << 20))
        swap = self.folder / self.files.swap
        if swap.exists():
            swap.write_text(str(self.files.swap_limit))

    def around(self, line: str) -> Sequence[str]:
        """The command that runs a line of a shell under the limit, as the same process."""
        shell = ["bash", "-c", line]
        if not self.enforced:
            return ["bash", "-c", f"ulimit -d {self.megabytes << 10}; exec {shlex.join(shell)}"]
        mount = f"mount --bind {self.folder} {self.files.mounted}; exec {shlex.join(shell)}"
        inside = shlex.join(["unshare", "--mount", "bash", "-ec", mount])
        return ["bash", "-ec", f"echo $$ >{self.folder}/cgroup.procs; exec {inside}"]

    def kills(self) -> int:
        """How often the kernel had to kill one of the processes."""
        words = (self.folder / self.files.events).read_text().split()
        return int(words[words.index("oom_kill") + 1])

    def remove(self) -> None:
        if self.folder.is_dir():
            until(self._is_removed, "the cgroup is empty")

    def _is_removed(self) -> bool:
        try:
            self.folder.rmdir()
        except OSError:  # the last processes are still being taken down
            return False
        return True
