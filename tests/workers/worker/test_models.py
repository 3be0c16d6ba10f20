"""Deployed functions in a worker: loaded when whole, each for its own name, kept while they fit."""

import pickle
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.errors import NotLoadableError, UnknownFunctionError
from tabpy.tabpy_server.workers.worker import missing_packages
from tabpy.tabpy_server.workers.worker import models as module
from tabpy.tabpy_server.workers.worker.models import Model, Models, ScriptEndedError, load
from tests.workers.worker.loading import WebProcess, archive_of


def add(a: int, b: int) -> int:
    return a + b


def multiply(a: int, b: int) -> int:
    return a * b


CALLS: list[int] = []


def count() -> int:
    CALLS.append(1)
    return len(CALLS)


class Counter:
    calls: list[int] = []  # noqa: RUF012 - shared by its instances, on purpose

    def __call__(self) -> int:
        Counter.calls.append(1)
        return len(Counter.calls)


@pytest.fixture
def web(tmp_path: Path) -> WebProcess:
    return WebProcess(tmp_path)


# --- names ---


def test_a_name_is_asked_once_until_something_has_changed(web: WebProcess) -> None:
    web.deploy("add", add)
    models = web.worker()
    assert models.find("add").query(1, 2) == 3
    models.start("first", 1 << 30)
    assert models.find("add").version == 1
    assert web.asked == [("add", "")]
    web.deploy("add", multiply)
    models.start("second", 1 << 30)
    assert models.find("add").query(2, 2) == 4
    assert models.find("add").version == 2
    assert web.asked == [("add", "")] * 2


def test_a_name_that_is_not_there_is_asked_again(web: WebProcess) -> None:
    models = web.worker()
    for _ in range(2):
        with pytest.raises(UnknownFunctionError, match="no function 'add'"):
            models.find("add")
    web.deploy("add", add)
    assert models.find("add").query(1, 2) == 3


def test_a_thread_of_a_script_that_has_ended_asks_nothing(web: WebProcess) -> None:
    web.deploy("add", add)
    models = web.worker()
    models.finish()
    with pytest.raises(ScriptEndedError, match="The script has ended"):
        models.find("add")
    assert web.asked == []
    models.start("first", 1 << 30)
    assert models.find("add").query(1, 2) == 3


def test_the_end_waits_for_a_question_that_is_under_way(web: WebProcess) -> None:
    web.deploy("add", add)
    begun, answer = threading.Event(), threading.Event()
    order: list[str] = []

    def ask(name: str, damaged: str) -> Any:
        begun.set()
        answer.wait()
        order.append("answered")
        return web.ask(name, damaged)

    models = Models(ask, {})
    models.start("first", 1 << 30)
    asking = threading.Thread(target=models.find, args=("add",))

    def end() -> None:
        models.finish()
        order.append("ended")

    ending = threading.Thread(target=end)
    asking.start()
    begun.wait()
    ending.start()
    answer.set()
    asking.join()
    ending.join()
    assert order == ["answered", "ended"]


# --- whole and damaged archives ---


def remove(path: str) -> None:
    Path(path).unlink()


def damage(path: str) -> None:
    """Another function, loadable, but not what the reference says."""
    Path(path).write_bytes(archive_of(multiply))


@pytest.mark.parametrize("harm", [damage, remove])
def test_a_damaged_archive_is_fetched_once_more(web: WebProcess, harm: Any) -> None:
    reference = web.deploy("add", add)
    web.repairs[reference.sha256] = Path(reference.path).read_bytes()
    models = web.worker()
    harm(reference.path)
    assert models.load(reference).query(3, 4) == 7
    assert web.asked == [("add", reference.sha256)]
    assert models.load(reference).query(3, 4) == 7
    assert len(web.asked) == 1


@pytest.mark.parametrize("harm", [damage, remove])
def test_an_archive_that_stays_damaged_is_never_loaded(web: WebProcess, harm: Any) -> None:
    reference = web.deploy("add", add)
    models = web.worker()
    harm(reference.path)
    finding: list[Callable[[], Model]] = [
        lambda: models.load(reference),
        lambda: models.find("add"),
        lambda: load(reference),
    ]
    for find in finding:
        with pytest.raises(NotLoadableError) as raised:
            find()
        assert raised.value.args == ("add", "Its archive is damaged.")
    assert models.size == 0


def test_one_that_was_replaced_meanwhile_is_what_is_loaded(web: WebProcess) -> None:
    old = web.deploy("f", add)
    web.deploy("f", multiply)
    Path(old.path).unlink()
    model = web.worker().load(old)
    assert (model.query(3, 4), model.version) == (12, 2)


def test_one_that_was_removed_meanwhile_is_not_there(web: WebProcess) -> None:
    reference = web.deploy("f", add)
    Path(reference.path).unlink()
    del web.references["f"]
    with pytest.raises(UnknownFunctionError):
        web.worker().load(reference)


# --- one name, one object ---


@pytest.mark.parametrize("code", [count, Counter()], ids=["function", "class"])
def test_two_names_with_equal_archives_are_two_functions(web: WebProcess, code: Any) -> None:
    archive = archive_of(code)
    one, two = web.deploy("one", archive), web.deploy("two", archive)
    assert one.sha256 == two.sha256
    models = web.worker()
    assert [models.find("one").query() for _ in range(2)] == [1, 2]
    assert models.find("two").query() == 1
    assert models.find("one").query() == 3
    assert [models.find(name).name for name in ("one", "two")] == ["one", "two"]


def test_two_versions_with_equal_archives_are_one(web: WebProcess) -> None:
    archive = archive_of(count)
    first, second = web.deploy("one", archive), web.deploy("one", archive)
    models = web.worker()
    assert [models.load(first).query(), models.load(second).query()] == [1, 2]
    assert [models.load(first).version, models.load(second).version] == [1, 2]


def test_what_was_loaded_before_the_fork_is_there_for_its_own_name(web: WebProcess) -> None:
    archive = archive_of(count)
    one, two = web.deploy("one", archive), web.deploy("two", archive)
    loaded = load(one)
    models = web.worker(preloaded={("one", one.sha256): loaded})
    assert models.find("one").query is loaded.query
    assert models.size == 0
    assert models.load(two).query is not loaded.query


# --- memory ---


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model that is loaded takes 10 bytes."""
    size = iter(range(0, 10_000, 10))
    monkeypatch.setattr(module, "resident", lambda: next(size))


@pytest.mark.usefixtures("sizes")
def test_the_least_lately_used_make_room(web: WebProcess) -> None:
    for name in "abc":
        web.deploy(name, lambda name=name: name)
    models = web.worker(limit=25)
    functions = {name: models.find(name).query for name in "ab"}
    assert models.find("a").query is functions["a"]
    assert models.size == 20
    models.find("c")
    assert models.size == 20
    assert models.find("a").query is functions["a"]
    assert models.find("b").query is not functions["b"]


@pytest.mark.usefixtures("sizes")
def test_the_one_that_is_called_stays_however_large(web: WebProcess) -> None:
    web.deploy("a", add)
    models = web.worker(limit=5)
    assert models.find("a").query is models.find("a").query
    assert models.size == 10


# --- what can't be loaded ---


class Fails:
    """Unpickling one does what it says."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call[0], self._call[1:]


def raises(error: str) -> Fails:
    return Fails(exec, f"import sys; raise {error}")


@pytest.mark.parametrize(
    ("archived", "why"),
    [
        (raises("ModuleNotFoundError('no', name='nosuch.part')"),
         "It needs nosuch, which this server doesn't have (ModuleNotFoundError: no). "
         + missing_packages.cure("nosuch")),
        (raises("ModuleNotFoundError('no', name='_loss')"),
         "It was made with another version of what it needs (ModuleNotFoundError: no)."),
        (raises("AttributeError('x')"),
         "It was made with another version of what it needs (AttributeError: x)."),
        (raises("SystemExit(3)"), "Loading it raised SystemExit: 3."),
        (raises("type('Mute', (Exception,), {'__str__': lambda _: 1 / 0})"),
         "Loading it raised Mute: (its text can't be shown: ZeroDivisionError)."),
        (5, "The archive holds an object of type int, which has no method query: deploy a "
         "function with the client."),
    ],
)  # fmt: skip
def test_why_it_cannot_be_loaded(web: WebProcess, archived: Any, why: str) -> None:
    reference = web.deploy("f", pickle.dumps(archived))
    with pytest.raises(NotLoadableError) as raised:
        web.worker().load(reference)
    assert raised.value.args == ("f", why)
    assert not raised.value.out_of_memory


def test_what_is_no_pickle_cannot_be_loaded(web: WebProcess) -> None:
    with pytest.raises(NotLoadableError, match="The archive is damaged, or is no pickle"):
        web.worker().load(web.deploy("f", b"garbage"))


def test_loading_may_run_out_of_memory(web: WebProcess) -> None:
    with pytest.raises(NotLoadableError, match="Loading it raised MemoryError") as raised:
        web.worker().load(web.deploy("f", pickle.dumps(raises("MemoryError"))))
    assert raised.value.out_of_memory


def test_compiled_code_of_another_python_is_not_loaded(web: WebProcess) -> None:
    reference = web.deploy("f", add, python="3.8.10")
    with pytest.raises(NotLoadableError, match=r"'add' was compiled by Python 3\.8 and its text"):
        web.worker().load(reference)


@pytest.mark.parametrize("python", ["", "3.8.10", platform.python_version()])
def test_what_holds_no_code_may_be_of_any(web: WebProcess, python: str) -> None:
    reference = web.deploy("f", pickle.dumps(5), python=python)
    with pytest.raises(NotLoadableError, match="no method query"):
        web.worker().load(reference)
