"""The servers of the comparison, and fastapitableau's environment, made once and kept."""

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import peer
from benchmarks.servers import Kind, Server, running

HERE = Path(__file__).parent
FASTAPITABLEAU = "1.4.0"
PINS = HERE / "fastapitableau.txt"
FOLDER = HERE / ".peer" / f"fastapitableau-{sys.implementation.cache_tag}"

OURS_ONE, OURS = "ours, one web process", "ours"
TABPY, FASTAPI, BARE = f"TabPy {peer.VERSION}", f"fastapitableau {FASTAPITABLEAU}", "bare tornado"
LIMIT = "in-process limit"


@dataclass(frozen=True)
class Contestant:
    """A server that can be started, with what it needs besides the usual."""

    kind: Kind
    settings: dict[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()


@dataclass(frozen=True)
class Contestants:
    ours: Kind
    tabpy: Kind
    all: dict[str, Contestant]

    @classmethod
    def prepare(cls, folder: Path, tabpy_environment: Path | None) -> "Contestants":
        """Make all environments and accounts; raises SystemExit when pip can't."""
        ours = Kind.prepare("ours", Path(sys.executable).parent, folder)
        tabpy = Kind.prepare("tabpy", peer.commands(tabpy_environment), folder)
        return cls(
            ours,
            tabpy,
            {
                OURS_ONE: Contestant(ours, {"WEB_CONCURRENCY": "1"}),
                OURS: Contestant(ours),
                TABPY: Contestant(tabpy),
                FASTAPI: Contestant(
                    ours, command=(_fastapitableau(), "-I", str(HERE / "fastapi_app.py"))
                ),
                BARE: Contestant(ours, command=(sys.executable, "-I", str(HERE / "bare.py"))),
            },
        )

    @contextmanager
    def running(self, *names: str) -> Iterator[dict[str, Server]]:
        with ExitStack() as stack:
            yield {
                name: stack.enter_context(running(each.kind, each.settings, each.command))
                for name, each in self.all.items()
                if name in names
            }


def _fastapitableau() -> str:
    """Its environment's Python, with all it needs pinned."""
    python = FOLDER / "bin" / "python"
    done = FOLDER / PINS.name
    if not done.exists() or done.read_text() != PINS.read_text():
        print(f"installing fastapitableau {FASTAPITABLEAU} into {FOLDER} (once)", file=sys.stderr)
        shutil.rmtree(FOLDER, ignore_errors=True)
        venv.create(FOLDER, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(PINS)]
        if subprocess.run(pip, check=False).returncode:
            shutil.rmtree(FOLDER)
            raise SystemExit(f"pip could not install fastapitableau=={FASTAPITABLEAU}")
        shutil.copy(PINS, done)
    return str(python)
