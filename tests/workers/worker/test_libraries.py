"""What one job sets in a library, no later one finds."""

import multiprocessing
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_server.workers.worker import libraries
from tabpy.tabpy_server.workers.worker.libraries import Libraries


def test_options_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    before = pandas.get_option("display.max_rows"), pandas.get_option("compute.use_bottleneck")
    kept = Libraries()
    pandas.set_option("display.max_rows", 3, "compute.use_bottleneck", not before[1])
    kept.restore()
    after = pandas.get_option("display.max_rows"), pandas.get_option("compute.use_bottleneck")
    assert after == before


def test_configuration_of_sklearn() -> None:
    sklearn = pytest.importorskip("sklearn")
    kept = Libraries()
    sklearn.set_config(transform_output="pandas")
    kept.restore()
    assert sklearn.get_config()["transform_output"] == "default"


def test_seed_of_numpy() -> None:
    numpy_random = pytest.importorskip("numpy").random
    kept = Libraries()
    numpy_random.seed(1)
    expected = numpy_random.rand()
    numpy_random.seed(1)
    kept.restore()
    assert numpy_random.rand() != expected


def test_start_method_of_multiprocessing() -> None:
    kept = Libraries()
    for _ in range(2):  # the second would be refused
        multiprocessing.set_start_method("spawn")
        kept.restore()
    assert multiprocessing.get_start_method(allow_none=True) is None


@pytest.mark.parametrize(
    ("name", "leave", "look", "default"),
    [
        (
            "pandas",
            lambda pandas: pandas.set_option("display.max_rows", 3),
            lambda pandas: pandas.get_option("display.max_rows"),
            60,
        ),
        (
            "sklearn",
            lambda sklearn: sklearn.set_config(transform_output="pandas"),
            lambda sklearn: sklearn.get_config()["transform_output"],
            "default",
        ),
    ],
)
def test_what_the_job_set_that_was_the_first_to_import_it(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    leave: Callable[[Any], None],
    look: Callable[[Any], Any],
    default: Any,
) -> None:
    library = pytest.importorskip(name)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, name)
        kept = Libraries()
    leave(library)
    kept.restore()
    assert look(library) == default
    leave(library)
    kept.restore()
    assert look(library) == default


# Matplotlib isn't among what the tests need: these are its parts that matter here.


class Parameters(dict[str, Any]):
    """As in Matplotlib, reading one may do something about the backend."""

    def __getitem__(self, key: str) -> Any:
        raise AssertionError("looked at one by one")


@pytest.fixture
def matplotlib(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = types.ModuleType("matplotlib")
    defaults = {"backend": "auto", "figure.figsize": [6.4, 4.8]}
    module.rcParams = Parameters(defaults)
    module.rc_file_defaults = lambda: module.rcParams.update(defaults)
    monkeypatch.setitem(sys.modules, "matplotlib", module)
    return module


@pytest.fixture
def pyplot(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = types.ModuleType("matplotlib.pyplot")
    module.figures = [1, 2]
    module.get_fignums = module.figures.copy
    module.close = lambda _which: module.figures.clear()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", module)
    return module


def test_parameters_of_matplotlib_but_for_the_backend(matplotlib: Any) -> None:
    kept = Libraries()
    matplotlib.rcParams.update({"figure.figsize": [1, 1], "backend": "agg"})
    kept.restore()
    assert dict.copy(matplotlib.rcParams) == {"backend": "agg", "figure.figsize": [6.4, 4.8]}


def test_parameters_of_a_matplotlib_that_a_job_was_the_first_to_import(
    monkeypatch: pytest.MonkeyPatch, matplotlib: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "matplotlib")
        kept = Libraries()
    matplotlib.rcParams["figure.figsize"] = [1, 1]
    kept.restore()
    assert dict.copy(matplotlib.rcParams)["figure.figsize"] == [6.4, 4.8]


def test_open_figures_are_closed(pyplot: Any) -> None:
    Libraries().restore()
    assert pyplot.figures == []


@pytest.mark.parametrize("late", [False, True])
def test_a_version_that_is_unlike_those_known_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    if late:
        monkeypatch.delitem(sys.modules, "pandas", raising=False)
        kept = Libraries()
        monkeypatch.setitem(sys.modules, "pandas", types.ModuleType("pandas"))
    else:
        monkeypatch.setitem(sys.modules, "pandas", types.ModuleType("pandas"))
        kept = Libraries()
    kept.restore()


def test_nothing_is_imported_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in libraries.KNOWN:
        monkeypatch.delitem(sys.modules, name, raising=False)
    Libraries().restore()
    assert not libraries.KNOWN.keys() & sys.modules.keys()
