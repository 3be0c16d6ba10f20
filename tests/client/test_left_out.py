"""A module that is taken along does without what can't be pickled, unless that is needed."""

import math
import pickle
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tabpy.tabpy_tools.archive import archived
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.left_out import LeftOut, LeftOutError
from tabpy.tabpy_tools.unpicklable import ADVICE

PRICES = """
import threading

LOCK = threading.Lock()
RATE = 2

def price(cost):
    return cost * RATE

def locked(cost):
    with LOCK:
        return price(cost)

def twice(cost):
    return locked(locked(cost))

class Guarded:
    lock = LOCK
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Writes a module of one's own and imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written: list[str] = []

    def write(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        written.append(name)
        return import_module(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def deployed(function: Callable[..., Any]) -> Any:
    """The function as a server has it."""
    with archived(CustomQueryObject(function)) as archive:
        return pickle.loads(archive.file.read()).query


REASON = "(TypeError: cannot pickle '_thread.lock' object). " + ADVICE


def test_a_lock_beside_a_function_does_not_keep_it_from_being_deployed(
    module: Callable[..., ModuleType],
) -> None:
    prices = module("prices", PRICES)
    assert deployed(lambda cost: prices.price(cost) + 1)(3) == 7


def test_who_needs_what_is_left_out_is_refused_and_told_why(
    module: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = module("prices", PRICES)

    def guarded(cost: float) -> Any:
        return [prices.locked(each) for each in [cost]]

    with pytest.raises(TypeError) as raised:
        deployed(guarded)
    assert str(raised.value) == (
        "guarded can't be deployed without 'locked' of the module prices: the global 'LOCK' of "
        f"locked is of type _thread.lock, which can't be pickled {REASON}"
    )
    monkeypatch.setitem(globals(), "prices", prices)
    with pytest.raises(TypeError, match="without 'LOCK' of the module prices: it can't be pickled"):
        deployed(guards)


def guards() -> Any:
    return prices.LOCK  # type: ignore[name-defined]  # noqa: F821 - a test's


def test_who_touches_it_nevertheless_reads_why(module: Callable[..., ModuleType]) -> None:
    prices = module("prices", PRICES)
    call = deployed(lambda name: getattr(prices, name)(3))
    assert call("price") == 6
    with pytest.raises(LeftOutError) as raised:
        call("locked")
    assert str(raised.value) == (
        "'locked' of the module prices was not deployed: the global 'LOCK' of locked is of type "
        f"_thread.lock, which can't be pickled {REASON}"
    )
    with pytest.raises(LeftOutError, match="'Guarded' of the module prices was not deployed: the "):
        call("Guarded")
    with pytest.raises(
        LeftOutError, match="'LOCK' of the module prices was not deployed: it can't"
    ):
        call("LOCK")


def test_modules_that_refer_to_each_other(module: Callable[..., ModuleType]) -> None:
    prices = module("prices", f"{PRICES}\ndef gross(cost):\n    return taxes.tax(cost)\n")
    taxes = "ROWS = (each for each in ())\n"
    taxes += "def tax(cost):\n    return cost + prices.RATE\n"
    vars(prices)["taxes"] = module("taxes", f"import prices\n{taxes}")
    assert deployed(lambda cost: prices.gross(cost) + 1)(3) == 6


def test_nothing_is_left_in_the_archive_of_what_is_left_out(
    module: Callable[..., ModuleType],
) -> None:
    held = "import threading\nHELD = [bytes(1 << 20), threading.Lock()]\n"
    prices = module("prices", held + PRICES)
    with archived(CustomQueryObject(lambda cost: prices.price(cost) + 1)) as archive:
        assert archive.size < 1 << 16
        assert archive.file.read().endswith(pickle.STOP)


def test_what_can_be_pickled_is_taken_along_as_before(module: Callable[..., ModuleType]) -> None:
    rates = module("rates", "import math\nRATES = {'a': math.pi}\nSAME = RATES\n")
    found = deployed(lambda: (rates.RATES, rates.SAME is rates.RATES))
    assert found() == ({"a": math.pi}, True)


TOUCHES: list[Callable[[Any], Any]] = [
    lambda it: it.acquire(),
    lambda it: it(1),
    lambda it: it.__enter__(),
    len,
    bool,
    lambda it: [*it],
    lambda it: it[0],
    lambda it: it + 1,
    str,
    lambda it: setattr(it, "a", 1),
    lambda it: 1 in it,
]


@pytest.mark.parametrize("touch", TOUCHES, ids=range(len(TOUCHES)))
def test_whatever_is_done_with_it_says_why(touch: Callable[[Any], Any]) -> None:
    left_out = pickle.loads(pickle.dumps(LeftOut("'x' of y", "it can't be pickled.")))
    with pytest.raises(LeftOutError, match=r"^'x' of y was not deployed: it can't be pickled\.$"):
        touch(left_out)


def test_looking_for_what_python_may_look_for_is_no_touch() -> None:
    left_out = LeftOut("'x' of y", "it can't be pickled.")
    assert not hasattr(left_out, "__wrapped__")
    assert repr(left_out) == "<'x' of y, which was left out>"
