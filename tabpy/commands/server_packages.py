"""Whether this Python can run the server: `pip install` without its extra brings the client alone.

Commands of the server ask here before they import what needs these packages.
"""

import importlib.util
import os
import sys
from pathlib import Path

from tabpy.tabpy_server.package_files import checkout

LOWEST_PYTHON = (3, 11)

# What the extra `server` in pyproject.toml brings: modules, and the packages that they are in.
PACKAGES = {
    "tornado": "tornado",
    "gunicorn": "gunicorn",
    "argon2": "argon2-cffi",
    "sqlalchemy": "SQLAlchemy",
    "psycopg": "psycopg",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}
_UNIX_ONLY = {"gunicorn"}


def hindrance() -> str | None:
    """Return a sentence on what the server lacks here and what to do; None if it lacks nothing."""
    if sys.version_info < LOWEST_PYTHON:
        lowest = ".".join(map(str, LOWEST_PYTHON))
        return f"The server needs Python {lowest} or later; this is {sys.version.split()[0]}."
    missing = [package for module, package in PACKAGES.items() if _is_missing(module)]
    if not missing:
        return None
    lacking = f"The server needs packages that aren't here ({', '.join(missing)}):"
    return f"{lacking} {_cure(checkout())}."


def _is_missing(module: str) -> bool:
    if sys.platform == "win32" and module in _UNIX_ONLY:
        return False
    return importlib.util.find_spec(module) is None


def _cure(folder: Path | None) -> str:
    # Of a copy that isn't installed pip knows nothing: it would get TabPy's own package.
    if folder is None:
        return 'run pip install "tabpy[server]"'
    programs = folder / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
    if programs.is_dir() and Path(sys.prefix) != folder / ".venv":
        return f"they are in .venv, so start {os.path.relpath(programs / 'tabpy')}"
    return (
        "`make run` installs them and starts the server; without make, in an environment of its "
        "own (python3 -m venv .venv), run pip install -r requirements.txt"
    )
