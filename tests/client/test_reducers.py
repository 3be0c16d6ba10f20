"""Objects whose pickles name a Python's internals are archived so that any Python makes them."""

import builtins
import functools
import io
import pathlib
import pickle
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

from tabpy.tabpy_tools import reducers
from tabpy.tabpy_tools.pickler import Pickler


@pytest.fixture(autouse=True)
def by_value() -> Iterator[None]:
    """What is of this module goes along."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    pickler = Pickler(file)
    pickler.dump(value)
    assert pickler.compiled == set()
    return file.getvalue()


def there_and_back(value: Any) -> Any:
    return pickle.loads(pickled(value))


@functools.lru_cache(maxsize=3, typed=True)
def fibonacci(n: int) -> int:
    """It calls its own cache."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


fibonacci.note = "mine"  # type: ignore[attr-defined]


def test_a_cache_begins_empty_and_is_the_one_that_its_function_calls() -> None:
    fibonacci(5)
    loaded = there_and_back(fibonacci)
    assert loaded.cache_info().currsize == 0
    assert loaded(20) == 6765
    assert loaded.cache_info() == (18, 21, 3, 3)
    assert loaded.__annotations__ == {"n": int, "return": int}
    assert loaded.cache_parameters() == {"maxsize": 3, "typed": True}
    assert (loaded.__name__, loaded.__doc__, loaded.note) == (
        "fibonacci", "It calls its own cache.", "mine"
    )  # fmt: skip


@functools.cache
def of_a_package() -> None:
    """Stands for one."""


def test_a_cache_of_a_package_goes_by_its_name() -> None:
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    try:
        assert there_and_back(of_a_package) is of_a_package
    finally:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Slow:
    @functools.cached_property
    def value(self) -> list[int]:
        """Once."""
        return [1]


def test_a_cached_property_is_computed_once() -> None:
    loaded = there_and_back(Slow)()
    assert loaded.value is loaded.value
    assert type(loaded).value.__doc__ == "Once."


class Descriptor:
    """Makes methods anew, as scikit-learn's `available_if` does."""

    def __get__(self, owner: object, _: type) -> Any:
        def predict(self: object) -> str:
            return f"of {type(self).__name__}"

        predict.__name__ = "predict"
        return types.MethodType(METHODS.setdefault("predict", predict), owner)


METHODS: dict[str, Any] = {}


class Model:
    predict = Descriptor()


def test_a_method_that_a_descriptor_makes_goes_by_its_name() -> None:
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    try:
        archive = pickled(Model().predict)
        assert b"def predict" not in archive
        assert pickle.loads(archive)() == "of Model"
    finally:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])


def test_a_method_of_a_class_that_goes_along_goes_along() -> None:
    class Local:
        def __init__(self) -> None:
            self.again = self.answer

        def answer(self) -> int:
            return 42

    loaded = there_and_back(Local().answer)
    assert loaded.__self__.again() == 42


def test_ipythons_open_is_pythons() -> None:
    names = {"__name__": "IPython.core.interactiveshell"}

    def guarded(*args: Any) -> Any:
        raise AssertionError(args)

    modified = types.FunctionType(guarded.__code__, names)
    functools.update_wrapper(modified, builtins.open)
    assert there_and_back(modified) is open


def test_a_path_names_no_private_module() -> None:
    assert b"pathlib._" not in pickled(pathlib.PurePosixPath("a/b"))
    assert there_and_back(pathlib.PurePosixPath("a/b")) == pathlib.PurePosixPath("a/b")


def test_an_annotation_that_was_looked_up_is_its_text() -> None:
    reference = typing.ForwardRef("int")
    typing.get_type_hints(types.SimpleNamespace(__annotations__={"x": reference}), {}, {})
    assert there_and_back(reference).__forward_arg__ == "int"


@pytest.fixture
def numba(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package in its place: the real one is large, and slow to come to a new Python."""
    module: Any = types.ModuleType("numba")

    class CPUDispatcher:
        def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
            functools.update_wrapper(self, function)
            self.py_func, self.targetoptions = function, options

        def __call__(self, *args: Any) -> Any:
            return self.py_func(*args)

    class DUFunc:
        __name__ = "vectorized"

        def __reduce__(self) -> Any:
            return max, (1, 2)

    for each in (CPUDispatcher, DUFunc):
        each.__module__ = "numba.core"
        each.__qualname__ = each.__name__ if each is CPUDispatcher else "DUFunc"
    module.jit = lambda **options: lambda function: CPUDispatcher(function, options)
    module.DUFunc = DUFunc
    monkeypatch.setitem(sys.modules, "numba", module)
    return module


def test_a_function_of_numbas_is_compiled_anew(numba: Any) -> None:
    loaded = there_and_back(numba.jit(nopython=True)(lambda x: x + 1))
    assert (loaded(1), loaded.targetoptions) == (2, {"nopython": True})


def test_what_else_numba_compiles_is_for_this_python_only(numba: Any) -> None:
    file = io.BytesIO()
    pickler = Pickler(file)
    pickler.dump([numba.DUFunc()])
    assert pickler.compiled == {"vectorized"}
    assert pickle.loads(file.getvalue()) == [2]
    ours = "{}.{}".format(*sys.version_info).encode()
    with pytest.raises(Exception, match=r"'vectorized' was compiled by Python 9\.99"):
        pickle.loads(file.getvalue().replace(b"\x8c\x04" + ours, b"\x8c\x049.99"))


def test_a_path_becomes_one_of_the_system_that_loads_it() -> None:
    archive = pickled(pathlib.Path("data/rates.csv"))
    assert b"PosixPath" not in archive
    assert pickle.loads(archive) == pathlib.Path("data/rates.csv")
    from_windows = reducers._REDUCERS[pathlib.WindowsPath]
    make, arguments = from_windows(pathlib.PureWindowsPath(r"data\rates.csv")) or ()
    assert make(*arguments) == pathlib.Path("data/rates.csv")
