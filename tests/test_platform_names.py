"""Where the server runs, by what the platform says."""

import os
from pathlib import Path

import pytest

from tabpy.tabpy_server import platform_names
from tabpy.tabpy_server.platform_names import kind_of_platform


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run in a container."""
    monkeypatch.setattr(platform_names, "OF_A_CONTAINER", ())


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, "machine"),
        ({"DYNO": "web.1"}, "heroku"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "container"),
        ({"SYSTEMD_EXEC_PID": "1"}, "machine"),  # of the terminal that somebody started it in
    ],
)
def test_a_platform_is_known_by_what_it_sets(environment: dict[str, str], kind: str) -> None:
    assert kind_of_platform(environment) == kind


@pytest.mark.parametrize("whose", [os.getpid, os.getppid])
def test_a_service_of_systemd_is_known_by_its_own_number(whose: object) -> None:
    assert callable(whose)
    assert kind_of_platform({"SYSTEMD_EXEC_PID": str(whose())}) == "systemd"


def test_a_container_is_known_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".dockerenv"
    monkeypatch.setattr(platform_names, "OF_A_CONTAINER", (file,))
    assert kind_of_platform({}) == "machine"
    file.touch()
    assert kind_of_platform({}) == "container"
