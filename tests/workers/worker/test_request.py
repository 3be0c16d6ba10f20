"""What a script knows of its request: differences 17."""

import json
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker import script
from tabpy.tabpy_server.workers.worker.output import LIMIT
from tabpy.tabpy_server.workers.worker.request import Request
from tests.workers.worker.loading import WebProcess


@pytest.fixture
def request_of_anna() -> Request:
    return Request({"TabPy-User": "anna", "TabPy-Client": "Tableau"})


def evaluate(folder: Path, text: str, request: Request | None = None) -> Any:
    body = json.dumps({"script": text, "data": {}}).encode()
    return json.loads(script.evaluate(body, WebProcess(folder).worker(), request))


@pytest.mark.parametrize(
    ("text", "returned"),
    [
        ("return tabpy.headers['TabPy-User']", "anna"),
        ("return tabpy.headers['tabpy-user']", "anna"),
        ("return tabpy.headers.get('TabPy-Client')", "Tableau"),
        ("return tabpy.headers.get('Authorization', 'none')", "none"),
        ("return sorted(tabpy.headers)", ["TabPy-Client", "TabPy-User"]),
        ("return dict(tabpy.headers)", {"TabPy-User": "anna", "TabPy-Client": "Tableau"}),
    ],
)
def test_a_script_sees_who_looks_at_its_dashboard(
    tmp_path: Path, request_of_anna: Request, text: str, returned: Any
) -> None:
    # differences 17
    assert evaluate(tmp_path, text, request_of_anna) == returned


def test_without_such_headers_there_are_none(tmp_path: Path) -> None:
    # differences 17
    assert evaluate(tmp_path, "return len(tabpy.headers)") == 0


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("tabpy.logger.info('rows: %d', 3)", [(20, "rows: 3")]),
        ("tabpy.logger.log(30, 'careful')", [(30, "careful")]),
        ("tabpy.logger.error('a')\ntabpy.logger.debug('b')", [(40, "a"), (10, "b")]),
        ("return 1", []),
    ],
)
def test_what_a_script_logs_is_kept(
    tmp_path: Path, request_of_anna: Request, text: str, lines: list[tuple[int, str]]
) -> None:
    # differences 17
    evaluate(tmp_path, text, request_of_anna)
    assert request_of_anna.lines == lines


@pytest.mark.parametrize("line", ["'x' * 1000", "''"])
def test_a_script_that_logs_without_end_is_cut_off(
    tmp_path: Path, request_of_anna: Request, line: str
) -> None:
    # differences 17
    evaluate(tmp_path, f"for _ in range(100_000): tabpy.logger.info({line})", request_of_anna)
    assert 0 < sum(len(text) + 1 for _, text in request_of_anna.lines) <= LIMIT + 100
