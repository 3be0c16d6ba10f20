"""The names by which an open server may be called: none that a stranger can make up."""

import socket

import pytest

from tabpy.tabpy_server.web.own_names import OwnNames


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Tabpy01.corp.example")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9004",
        "localhost.",
        "tabpy.localhost:9004",
        "127.0.0.1",
        "10.1.2.3:9004",
        "[::1]:9004",
        "[fe80::1]",
        "tabpy01.corp.example:9004",
        "tabpy01",
        "TabPy.Example.com:9004",
        "set",
    ],
)
def test_it_may_be_called_by_its_address_and_its_names(host: str) -> None:
    assert OwnNames(["tabpy.example.com", "set"]).include(host)


@pytest.mark.parametrize(
    "host",
    [
        "foe.example",
        "localhost.foe.example",
        "notlocalhost",
        "127.0.0.1.foe.example",
        "tabpy01.foe.example",
        "x.tabpy.example.com",
        "1.2.3",
        "0x7f000001",
        "2130706433",
        "",
        "[",
        "::1",
        "foe.example:80:80",
        "localhost@foe.example",
        "foe.example\\@localhost",
    ],
)
def test_it_may_not_be_called_by_any_other(host: str) -> None:
    assert not OwnNames(["tabpy.example.com"]).include(host)


def test_a_star_stands_for_all() -> None:
    assert OwnNames(["*"]).include("foe.example")


def test_a_machine_without_a_name_has_only_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "")
    assert not OwnNames([]).include("")
    assert OwnNames([]).include("127.0.0.1")
