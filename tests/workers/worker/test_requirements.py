"""What is said of packages that differ."""

from importlib.metadata import distributions, version

from tabpy.tabpy_server.workers.worker.requirements import LONGEST, NAMED, differences, made_with

OURS = {name: version(name) for name in ("numpy", "tornado", "orjson")}


def test_nothing_differs() -> None:
    assert made_with(OURS, "any reason") == made_with({}, "") == ""
    assert made_with({"no-such-package": "1", "": "1"}, "no such package") == ""


def test_one_package_differs() -> None:
    assert made_with({**OURS, "numpy": "1.0"}, "") == (
        f"It was made with numpy 1.0; this server has {OURS['numpy']}."
    )


def test_the_one_that_the_reason_speaks_of_is_named_first() -> None:
    theirs = dict.fromkeys(OURS, "0.1")
    sentence = made_with(theirs, "No module named 'tornado.old'")
    assert sentence == (
        "It was made with tornado 0.1, numpy 0.1 and orjson 0.1; this server has tornado "
        f"{OURS['tornado']}, numpy {OURS['numpy']} and orjson {OURS['orjson']}."
    )


def test_a_package_is_known_by_its_modules() -> None:
    theirs = {"numpy": "0.1", "argon2-cffi": "0.1"}
    assert made_with(theirs, "cannot import name 'x' from 'argon2'").startswith(
        "It was made with argon2-cffi 0.1 and numpy 0.1;"
    )


def test_very_many_are_counted() -> None:
    names = {each.name for each in distributions()}
    sentence = made_with(dict.fromkeys(sorted(names), "other"), "")
    assert sentence.endswith(f". {len(names) - NAMED} more packages differ.")
    assert sentence.count(" other") == NAMED


def test_a_version_may_be_any_text() -> None:
    assert "x" * LONGEST in made_with({"numpy": "x" * 100_000}, "")
    assert len(made_with({"numpy": "x" * 100_000}, "")) < 200
    assert len(differences({"numpy": "x" * 100_000})[0]) < 200
