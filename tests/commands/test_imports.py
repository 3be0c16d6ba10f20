"""What a start and a notebook don't need at once is not imported at once: it would take longer than
all of the rest."""

import json
import subprocess
import sys

import pytest

from tests.running import clean_environment

BEFORE_THE_FORK_SERVER = "from tabpy.commands import serve, server_packages, start"
BEFORE_THE_FIRST_REQUEST = f"""
{BEFORE_THE_FORK_SERVER}
from tabpy.tabpy_server.access import first_user
from tabpy.tabpy_server.processes import gunicorn_server, gunicorn_worker
"""
CLIENT = "from tabpy.tabpy_tools.client import Client"


def imported(code: str) -> set[str]:
    """The modules that a fresh interpreter has after `code`."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps([*sys.modules]))"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(told.stdout))


@pytest.mark.parametrize(
    ("code", "late"),
    [
        (
            BEFORE_THE_FORK_SERVER,
            {"tornado", "gunicorn", "asyncio", "argon2", "ssl", "hashlib", "logging.config"},
        ),
        (
            BEFORE_THE_FIRST_REQUEST,
            {
                *("sqlalchemy", "psycopg", "prometheus_client", "argon2", "numpy", "pandas"),
                *("pyarrow", "jwt", "cryptography", "requests", "tabpy.tabpy_tools.calculation"),
            },
        ),
        (CLIENT, {"requests", "urllib3", "http.client", "orjson", "cloudpickle", "tqdm"}),
    ],
    ids=["before the fork server", "before the first request", "the client"],
)
def test_what_takes_long_is_imported_when_it_is_needed(code: str, late: set[str]) -> None:
    assert imported(code) & late == set()
