"""Archives made functions; nothing that another Python compiled becomes code."""

import importlib
import io
import pickle
import platform
import types
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.workers.worker import bytecode
from tabpy.tabpy_server.workers.worker.unpickling import unpickle
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.pickler import Pickler
from tests.workers.worker.loading import archive_of

OURS = platform.python_version()


def load(archive: bytes, python: str) -> Callable[..., Any]:
    return unpickle(io.BytesIO(archive), "f", python)


def refusal(archive: bytes, python: str) -> str:
    with pytest.raises(NotLoadableError) as raised:
        load(archive, python)
    return raised.value.why


def add(a: int, b: int) -> int:
    return a + b


def as_text(function: Callable[..., Any]) -> bytes:
    """What this project's client sends."""
    file = io.BytesIO()
    Pickler(file).dump(CustomQueryObject(function))
    return file.getvalue()


@pytest.mark.parametrize("python", ["", OURS, "3.3.5"])
def test_text_may_come_from_any_python(python: str) -> None:
    assert load(as_text(lambda a, b: a + b), python)(1, 2) == 3


@pytest.mark.parametrize("python", ["", OURS])
def test_bytecode_may_come_from_this_one(python: str) -> None:
    assert load(archive_of(add), python)(1, 2) == 3


def test_bytecode_of_another_is_refused_by_the_functions_name() -> None:
    minor = ".".join(OURS.split(".")[:2])
    assert refusal(archive_of(add), "3.3.5") == (
        f"'add' was compiled by Python 3.3 and its text isn't known; this server runs {minor}: "
        f"deploy it from Python {minor}, or with this server's client from a file or a notebook's "
        "cell, whose text the client sends."
    )


def foreign(parts: tuple[Any, ...]) -> bytes:
    """An archive with code of these parts, which says no Python, as TabPy's client sends it."""

    class Code:
        def __reduce__(self) -> Any:
            return types.CodeType, parts

    return bytes(cloudpickle.dumps(Code()))


def test_bytecode_is_looked_at_whatever_is_said_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (lambda: 1).__code__
    _, parts = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    assert "no method query" in refusal(foreign(parts), "")
    assert "was compiled by Python 3.10 or older and its text" in refusal(foreign(parts[:16]), "")
    monkeypatch.setattr(bytecode, "origin", lambda _: "9.9")
    assert "was compiled by Python 9.9 and its text" in refusal(foreign(parts), "")
    assert "was compiled by Python 9.9 and its text" in refusal(foreign(parts), OURS)


def test_code_that_is_made_without_cloudpickle_is_looked_at_too() -> None:
    parts = pickle.dumps((0,) * 16, protocol=2)[2:-1]  # without begin and end
    archive = b"ctypes\nCodeType\n" + parts + b"R."
    assert "was compiled by Python 3.10 or older" in refusal(archive, "")


def test_functions_may_ask_what_is_code() -> None:
    code_type = types.CodeType
    archive = cloudpickle.dumps(
        CustomQueryObject(lambda x: [isinstance(x, code_type), isinstance(1, code_type)])
    )
    assert load(archive, "")((lambda: 1).__code__) == [True, False]


def test_no_bytecode_but_code_types_all_the_same() -> None:
    archive = cloudpickle.dumps(CustomQueryObject(max))
    assert load(archive, "3.3.5") is not None
    assert load(pickle.dumps(CustomQueryObject(max)), "3.3.5")(1, 2) == 2


class Imports:
    """Has a module imported where it is loaded."""

    def __init__(self, module: str) -> None:
        self.module = module

    def __reduce__(self) -> Any:
        return importlib.import_module, (self.module,)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("no_such_package.part", "It needs no_such_package, which this server doesn't have ("),
        # As scikit-learn's compiled modules are called, some of which are at the top.
        ("_no_such_part", "It was made with another version of what it needs ("),
    ],
)
def test_a_module_that_is_missing_is_a_package_to_install_or_another_version(
    module: str, said: str
) -> None:
    assert refusal(pickle.dumps(Imports(module)), "").startswith(said)


def test_another_python_is_named_where_something_else_is_wrong() -> None:
    assert refusal(b"nonsense", "3.3.5").endswith(
        f" It was made with Python 3.3.5; this server runs {OURS}."
    )
    assert "was made with Python" not in refusal(b"nonsense", OURS)
