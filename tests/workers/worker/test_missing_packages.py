"""An import that finds nothing tells how the package gets here, and whom to ask."""

import pytest

from tabpy.tabpy_server.workers.worker import missing_packages
from tabpy.tabpy_server.workers.worker.account import of_script
from tabpy.tabpy_server.workers.worker.missing_packages import cure, explain


@pytest.fixture(autouse=True)
def _on_an_own_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DYNO", raising=False)
    monkeypatch.setattr(missing_packages, "CONTAINERS", ())


def missing(module: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named '{module}'", name=module)


def test_on_an_own_machine_pip_adds_it() -> None:
    assert explain(missing("nosuch.part")) == (
        "It isn't installed here. Whoever runs this server can add it: pip install nosuch with the "
        "server's Python, and a restart."
    )


def test_on_heroku_a_line_in_the_fork_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNO", "web.1")
    assert "a line nosuch in requirements.txt, and a deployment to Heroku" in cure("nosuch")


def test_in_a_container_a_new_image_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing_packages, "CONTAINERS", ("/",))
    assert "a line nosuch in requirements.txt, and the image built again" in cure("nosuch")


def test_the_package_is_called_as_pip_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(missing_packages.PACKAGES, "nosuch", "no-such")
    assert "pip install no-such with" in cure("nosuch")


@pytest.mark.parametrize(
    "error",
    [
        missing("json.nosuch"),
        missing("pytest.nosuch"),
        missing("_compiled"),
        missing("with blank"),
        ImportError("cannot import name 'x'", name="nosuch"),
        ValueError("nosuch"),
    ],
    ids=str,
)
def test_of_anything_else_there_is_nothing_to_say(error: Exception) -> None:
    assert explain(error) == ""


def test_what_led_to_it_counts_too() -> None:
    error = ValueError("so")
    error.__cause__ = missing("nosuch")
    assert "pip install nosuch with" in explain(error)


def test_a_script_reads_it_after_the_failure_itself() -> None:
    info = of_script(missing("nosuch"), "import nosuch").info
    assert info.splitlines()[:2] == [
        "ModuleNotFoundError : No module named 'nosuch'",
        explain(missing("nosuch")),
    ]
