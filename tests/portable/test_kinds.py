"""Functions of all kinds, archived by one Python, answer on another, or are refused in words."""

from pathlib import Path

import pytest

from tests.portable.kinds import KINDS, NEWER_KINDS
from tests.portable.pythons import OURS, VERSIONS, find, packages_in, run


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages_in(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def ours() -> Path:
    python = find(OURS)
    assert python is not None
    return python


@pytest.fixture(scope="module")
def archives_of_ours(ours: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    run(ours, packages, "dump", str(folder), "text")
    return folder


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def other(version: str) -> Path:
    python = find(version)
    if python is None:
        pytest.skip(f"no Python {version} on the path, of pyenv or of uv")
    return python


def expected(made_by: str, loaded_by: str) -> dict[str, str]:
    outcomes = dict.fromkeys(KINDS, "right")
    if made_by != loaded_by:
        outcomes["made_by_exec"] = (
            f"refused: 'made' was compiled by Python {made_by} and its text isn't known; this "
            f"server runs {loaded_by}"
        )
    if minor(made_by) >= 12:
        newer = "right" if minor(loaded_by) >= 12 else "refused: "
        outcomes |= dict.fromkeys(NEWER_KINDS, newer)
    return outcomes


def minor(version: str) -> int:
    return int(version.partition(".")[2])


def shortened(outcomes: dict[str, str], to: dict[str, str]) -> dict[str, str]:
    """The outcomes, each as far as the expected one says."""
    return {name: text[: len(to.get(name, text))] for name, text in outcomes.items()}


def test_what_another_python_archived_answers_here(
    version: str, other: Path, ours: Path, packages: Path, tmp_path: Path
) -> None:
    compiled = run(other, packages, "dump", str(tmp_path), "text")
    assert [name for name, functions in compiled.items() if functions] == ["made_by_exec"]
    outcomes = run(ours, packages, "load", str(tmp_path), f"{version}.0")
    wanted = expected(version, OURS)
    assert shortened(outcomes, wanted) == wanted


def test_what_was_archived_here_answers_on_another_python(
    version: str, other: Path, archives_of_ours: Path, packages: Path
) -> None:
    if minor(version) < 11:
        pytest.skip("the server runs on Python 3.11 and later")
    outcomes = run(other, packages, "load", str(archives_of_ours), f"{OURS}.0")
    wanted = expected(OURS, version)
    assert shortened(outcomes, wanted) == wanted


def test_bytecode_of_another_python_is_refused_though_nothing_says_whose_it_is(
    version: str, other: Path, ours: Path, packages: Path, tmp_path: Path
) -> None:
    """As TabPy's client sends it."""
    run(other, packages, "dump", str(tmp_path), "bytecode")
    outcomes = run(ours, packages, "load", str(tmp_path), "")
    assert outcomes.keys() > {"a_lambda", "a_closure", "a_generator_inside", "data_classes"}
    if version == OURS:
        wrong = {name for name, each in outcomes.items() if each != "right"}
        assert wrong == {"an_enumeration_with_attributes"}  # as TabPy has it
    elif {version, OURS} == {"3.11", "3.12"}:  # what is the same in both is loaded
        assert all(each == "right" or is_refused(each) for each in outcomes.values())
    else:
        loaded = {name for name, each in outcomes.items() if not is_refused(each)}
        assert loaded == {"a_cache"}  # cloudpickle only names it


def is_refused(outcome: str) -> bool:
    return outcome.startswith("refused: ") and " was compiled by Python 3" in outcome
