"""The other Pythons of this machine, and programs run on them."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle

ROOT = Path(__file__).parents[2]
OURS = "{}.{}".format(*sys.version_info)
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


@functools.cache
def find(version: str) -> Path | None:
    """The Python of this minor version: this one, one in a folder that the variable
    OTHER_PYTHONS names, pyenv's, uv's, or one on the path."""
    return next((each for each in _candidates(version) if _runs(each, version)), None)


def run(python: Path, packages: Path, program: str, *arguments: str) -> Any:
    """The JSON that a program of this folder prints, with no package but those of `packages`."""
    path = {
        "PYTHONPATH": f"{ROOT}:{packages}",
        "PYTHONPYCACHEPREFIX": str(packages.parent / "pycache"),
    }
    return _printed([python, "-S"], path, program, arguments)


def run_with_packages(python: Path, program: str, *arguments: str) -> Any:
    """The same, with the packages that this Python has."""
    return _printed([python], {"PYTHONPATH": str(ROOT)}, program, arguments)


def _printed(
    command: list[str | Path], environment: dict[str, str], program: str, arguments: tuple[str, ...]
) -> Any:
    done = subprocess.run(
        [*command, "-m", f"tests.portable.{program}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}, {done.stderr}"
    return json.loads(done.stdout)


def packages_in(folder: Path) -> Path:
    """A folder with cloudpickle, which any Python can import; named as where pip puts packages."""
    packages = folder / "site-packages"
    source = Path(str(cloudpickle.__file__)).parent
    shutil.copytree(source, packages / "cloudpickle", ignore=shutil.ignore_patterns("*.pyc"))
    return packages


def _candidates(version: str) -> Iterator[Path]:
    if version == OURS:
        yield Path(sys.executable)
    named = os.environ.get("OTHER_PYTHONS", "").split(os.pathsep)
    yield from (Path(each) / "bin" / "python3" for each in named)
    homes = (
        (Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions", f"{version}.*"),
        (Path.home() / ".local/share/uv/python", f"cpython-{version}.*"),
    )
    for folder, pattern in homes:
        yield from (each / "bin" / "python3" for each in sorted(folder.glob(pattern)))
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)


def _runs(python: Path, version: str) -> bool:
    """Whether it does: one of pyenv's shims may stand for a Python that isn't installed."""
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return done.stdout.strip() == version
