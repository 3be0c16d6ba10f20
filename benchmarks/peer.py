"""TabPy from PyPI in a virtual environment of its own, made once and kept."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "2.16.0"
REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
# One for each Python: what its client deploys is bytecode.
FOLDER = Path(__file__).parent / ".peer" / str(sys.implementation.cache_tag)


def commands(folder: Path | None) -> Path:
    """The folder of TabPy's commands: of the environment `folder`, else of our own cached one.

    Raises SystemExit when `folder` has another version, or none, and when pip can't install.
    """
    made_here = folder is None
    root = (folder or FOLDER).absolute()
    found = _installed(root)
    if found is None and made_here:
        print(f"installing TabPy {VERSION} into {root} (once)", file=sys.stderr)
        _install(root)
        found = _installed(root)
    if found != VERSION:
        raise SystemExit(f"{root} has TabPy {found or '(none)'}; {VERSION} is needed")
    return root / "bin"


def _installed(root: Path) -> str | None:
    python = root / "bin" / "python"
    if not python.exists() or not (root / "bin" / "tabpy").exists():
        return None
    # Isolated, so that this checkout's own tabpy can't answer for the peer's.
    ask = "import importlib.metadata as m; print(m.version('tabpy'))"
    told = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


def _install(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    venv.create(root, with_pip=True)
    # The libraries that both have are of one version, so that only the servers differ.
    pins = [line for line in REQUIREMENTS.read_text().splitlines() if "[" not in line]
    constraints = root / "constraints.txt"
    constraints.write_text("\n".join(pins))
    pip = [str(root / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    pip += ["--constraint", str(constraints), f"tabpy=={VERSION}"]
    if subprocess.run(pip, check=False).returncode:
        shutil.rmtree(root)
        raise SystemExit(f"pip could not install tabpy=={VERSION}; --peer takes an environment")
