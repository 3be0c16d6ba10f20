"""What needs somebody, and what to do about it."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.access.gate import OpenGate
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.password_hashes import CHEAPEST, hash_password
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.container_memory import ContainerMemory
from tabpy.tabpy_server.functions.startup_problems import StartupProblems
from tabpy.tabpy_server.functions.store.endpoint import ArchiveInfo, Endpoint, EndpointMetadata
from tabpy.tabpy_server.script_rules import OFF, InForce
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.web import findings
from tabpy.tabpy_server.web.findings import free_disk_mb, is_memory_short
from tabpy.tabpy_server.web.shortages import Shortages
from tests.web.harness import FakeCatalog, FakeGate, FakePool, Web

Serve = Callable[..., Web]

ON_HEROKU = replace(Settings(workers=1), on_heroku=True)
ENDPOINT = Endpoint("f", 1, EndpointMetadata(), ArchiveInfo("0", 1), 0, 0)


class Catalog(FakeCatalog):
    """One whose store may not answer, and whose functions may not load."""

    def __init__(self, problem: str = "", **broken: str) -> None:
        self._problem = problem
        self.broken = MappingProxyType(broken)

    async def ask_store(self) -> str:
        return self._problem


class StuckPool(FakePool):
    cannot_start = True


def found(web: Web) -> list[findings.Finding]:
    return web.run(web.context.findings())


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that isn't short of anything, whatever the tests run on."""
    monkeypatch.setattr(findings, "free_disk_mb", lambda _: 10_000.0)
    monkeypatch.setattr(findings, "is_memory_short", lambda: False)


def test_where_nothing_is_wrong_nothing_is_found(web: Web) -> None:
    assert found(web) == []


@pytest.mark.parametrize(
    ("fakes", "key", "details"),
    [
        ({"catalog": Catalog("password refused")}, "store", ("password refused",)),
        ({"catalog": Catalog(Price="No numpy.")}, "functions-broken", ("Price: No numpy.",)),
        ({"pool": StuckPool()}, "workers", ()),
        ({"gate": OpenGate()}, "open", ()),
    ],
    ids=["store", "functions", "workers", "open"],
)
def test_what_does_not_work_is_urgent_and_has_a_cure(
    serve: Serve, fakes: dict[str, Any], key: str, details: tuple[str, ...]
) -> None:
    [finding] = found(serve(**fakes))
    assert (finding.key, finding.is_urgent, finding.details) == (key, True, details)
    assert finding.cure


def test_what_of_models_was_not_deployed_is_named(serve: Serve) -> None:
    problems = StartupProblems()
    web = serve(startup_problems=problems)
    assert found(web) == []
    problems.tell(["models/a.py: f: No module named 'x'", "models/b.py:\n broken"])
    [finding] = found(web)
    assert finding.key == "models-failed"
    assert finding.details == ("models/a.py: f: No module named 'x'", "models/b.py: broken")


def test_short_disk_and_memory_are_found(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "free_disk_mb", lambda _: 100.0)
    monkeypatch.setattr(findings, "is_memory_short", lambda: True)
    assert [each.key for each in found(web)] == ["disk", "memory"]


def test_what_is_short_is_logged_once_and_so_is_that_it_is_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    shortages = Shortages(Settings(workers=1))
    for free_mb in (10_000.0, 100.0, 90.0, 10_000.0, 10_000.0):
        monkeypatch.setattr(findings, "free_disk_mb", lambda _, free_mb=free_mb: free_mb)
        shortages.look()
    began, ended = caplog.records
    assert (began.levelname, ended.levelname) == ("WARNING", "INFO")
    assert began.message.startswith("The disk has 100 MB left")
    assert "Make room" in began.message
    assert ended.message.startswith("No longer: The disk has 90 MB left")


def test_old_hashes_and_wrong_lines_are_counted_and_nobody_is_named(serve: Serve) -> None:
    new = hash_password("paolo", "obviously fake", CHEAPEST)
    users = Users(None, {"anna": User("0" * 128), "paolo": User(new)})
    users.problems = ["line 3: anna"]
    keys = {each.key: each.text for each in found(serve(gate=FakeGate(users=users)))}
    assert "1 line can't be read" in keys["password-file"]
    assert "1 user has a password hash of" in keys["old-hashes"]
    assert "anna" not in str(keys)


def test_the_urgent_stands_first(serve: Serve) -> None:
    web = serve(
        {"on_heroku": True}, catalog=Catalog(Price="No numpy."), confinement=InForce(0, False)
    )
    keys = [each.key for each in found(web)]
    assert keys == ["functions-broken", "functions-lost", "confinement"]


# --- one by one ---


def test_the_disk_is_short_below_what_an_archive_may_need() -> None:
    assert findings.short_of_disk(findings.LEAST_DISK_MB) is None
    short = findings.short_of_disk(findings.LEAST_DISK_MB - 1)
    assert short is not None
    assert "255 MB left" in short.what


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_the_one_above(
    tmp_path: Path,
) -> None:
    assert math.isfinite(free_disk_mb(tmp_path / "nosuch" / "folder"))


@pytest.mark.parametrize(
    ("container", "left_mb", "is_short"),
    [
        (False, machine.WORKER_MB, False),
        (False, machine.WORKER_MB - 1, True),
        (True, 1e6, True),
    ],
)
def test_memory_is_short_in_the_container_or_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, container: bool, left_mb: float, is_short: bool
) -> None:
    monkeypatch.setattr(ContainerMemory, "is_short", lambda _: container)
    monkeypatch.setattr(machine, "memory_available_mb", lambda: left_mb)
    assert is_memory_short() is is_short


def test_who_switched_the_rules_for_scripts_off_is_not_told_so() -> None:
    less = InForce(0, False)
    assert findings.confines_less(Settings(script_confinement="best-effort"), less) is not None
    assert findings.confines_less(Settings(script_confinement=OFF), less) is None


def test_the_cure_of_a_warning_is_what_stands_behind_its_last_colon() -> None:
    [found] = findings.certificate(["Of two: one is old: renew it."])
    assert (found.what, found.cure) == ("Of two: one is old.", "Renew it.")


def test_functions_are_lost_only_where_a_dynos_disk_keeps_them() -> None:
    assert findings.loses_functions(Settings(workers=1), {}) is None
    kept = replace(ON_HEROKU, database_url="postgresql://x")
    assert findings.loses_functions(kept, {}) is None
    finding = findings.loses_functions(ON_HEROKU, {})
    assert finding is not None
    assert "heroku addons:create heroku-postgresql" in finding.cure


def test_that_is_urgent_if_there_are_some_that_do_not_deploy_by_themselves() -> None:
    own = replace(ENDPOINT, archive=ArchiveInfo("0", 1, origin="models/a.py f 0"))
    for endpoints, is_urgent in (({}, False), ({"f": own}, False), ({"f": ENDPOINT}, True)):
        finding = findings.loses_functions(ON_HEROKU, endpoints)
        assert finding is not None
        assert finding.is_urgent is is_urgent


def test_a_certificates_warning_is_what_is_wrong_and_what_to_do() -> None:
    [finding] = findings.certificate(["The certificate expires on Monday, in 3 days: renew it."])
    assert finding.what == "The certificate expires on Monday, in 3 days."
    assert finding.cure == "Renew it."
    assert finding.text == "The certificate expires on Monday, in 3 days. Renew it."
    [finding] = findings.certificate(["It is wrong."])
    assert (finding.what, finding.cure) == ("It is wrong.", "")


def test_an_issuers_keys_are_urgent_when_none_are_left() -> None:
    assert findings.no_keys(False, False) is None
    left, gone = findings.no_keys(True, True), findings.no_keys(True, False)
    assert left is not None
    assert gone is not None
    assert (left.is_urgent, gone.is_urgent) == (False, True)


def test_of_many_only_some_are_named() -> None:
    finding = findings.cannot_load({f"f{number:03}": "x" * 1000 for number in range(100)})
    assert finding is not None
    assert finding.what.startswith("100 deployed functions can't be loaded")
    assert len(finding.details) == 21
    assert finding.details[-1] == "… and 80 more"
    assert max(map(len, finding.details)) < 320


def test_a_folder_that_is_not_there_yet_lies_on_its_parents_disk(tmp_path: Path) -> None:
    assert 0 < findings.free_disk_mb(tmp_path / "not" / "yet") < float("inf")


@pytest.mark.parametrize(
    ("meminfo", "mb"),
    [("MemTotal: 8 kB\nMemAvailable:   2048 kB\n", 2.0), ("MemTotal: 8 kB\n", float("inf"))],
)
def test_what_the_machine_has_left_is_the_kernels_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meminfo: str, mb: float
) -> None:
    (tmp_path / "meminfo").write_text(meminfo)
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "meminfo")
    assert machine.memory_available_mb() == mb
