"""Which event loop a web process has: uvloop's where it is installed."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from tabpy.tabpy_server.processes import event_loop


class Loop(asyncio.SelectorEventLoop):
    """Stands for uvloop's."""


async def note(found: list[type]) -> None:
    found.append(type(asyncio.get_running_loop()))


def test_it_is_uvloops_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[type] = []
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=Loop))
    event_loop.run(note(found))
    assert found == [Loop]


def test_else_it_is_pythons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[type] = []
    monkeypatch.setitem(sys.modules, "uvloop", None)
    event_loop.run(note(found))
    assert found != [Loop]
    assert issubclass(found[0], asyncio.AbstractEventLoop)
