"""The audit fails with a finding, and only with one."""

import json
from typing import Any

import pytest

from tests import audit
from tests.audit import verdict

FOUND = {"id": "PYSEC-2030-1", "fix_versions": ["2.1", "3.0"], "aliases": [], "description": "…"}
GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "2.0", "vulns": [FOUND, {**FOUND, "id": "X", "fix_versions": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI: unknown (1.0)"}


def audited(*packages: dict[str, Any], reachable: bool = True) -> tuple[int, list[str]]:
    return verdict(json.dumps({"dependencies": packages, "fixes": []}), "", lambda: reachable)


def test_without_a_finding_it_passes() -> None:
    assert audited(GOOD, GOOD) == (0, ["No known vulnerability in 2 packages."])


@pytest.mark.parametrize("reachable", [True, False])
def test_a_finding_fails_and_is_named(reachable: bool) -> None:
    assert audited(GOOD, BAD, reachable=reachable) == (
        1,
        ["bad 2.0: PYSEC-2030-1, mended in 2.1, 3.0", "bad 2.0: X, mended in no version"],
    )


def test_one_that_is_explained_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "EXPLAINED", {"PYSEC-2030-1": "we don't use that part"})
    assert audited(BAD) == (1, ["bad 2.0: X, mended in no version"])


def test_a_package_that_nobody_knows_fails() -> None:
    assert audited(GOOD, UNKNOWN) == (1, [UNKNOWN["skip_reason"]])


def test_an_index_that_knows_of_no_package_has_no_list() -> None:
    code, (said,) = audited(UNKNOWN, UNKNOWN)
    assert (code, said.partition(":")[0]) == (0, "Nothing was audited")


def test_no_report_is_a_failure_unless_nobody_can_be_asked() -> None:
    assert verdict("", "Traceback: X\n", lambda: True) == (1, ["pip-audit failed: Traceback: X"])
    code, (said,) = verdict("", "Traceback: X", lambda: False)
    assert (code, said.partition(":")[0]) == (0, "Nothing was audited")
