"""A state folder of TabPy's is read whole; what is broken in it costs no more than itself.

The folder in data/state was made by TabPy 2.16.0, with the script beside it.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.functions.legacy.state_folder import (
    SCHEMA_LIMIT,
    ImportResult,
    LegacyFunction,
    read,
)
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

STATE = Path(__file__).parents[2] / "compat" / "data" / "state"
A_PICKLE = pickle.dumps(None)


@pytest.fixture(scope="module")
def tabpys() -> ImportResult:
    return read(STATE, None)


def one(moved: ImportResult, name: str) -> LegacyFunction:
    (function,) = (function for function in moved.functions if function.name == name)
    return function


def entry(**fields: Any) -> str:
    return json.dumps({"version": 1, "type": "model", "target": None, **fields})


def write(state: Path, entries: str, docstrings: str = "", encoding: str = "utf-8") -> None:
    text = (
        "[Service Info]\nName = TabPy Server\n\n"
        f"[Query Objects Service Versions]\n{entries}\n\n"
        f"[Query Objects Docstrings]\n{docstrings}\n\n"
        "[Meta]\nRevision Number = 7\n\n"
    )
    (state / "state.ini").write_bytes(text.encode(encoding))


def add_archive(place: Path, name: str, version: int = 1, data: bytes = A_PICKLE) -> Path:
    archive = place / name / str(version) / "pickle_archive"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(data)
    return archive


# --- as TabPy wrote it ----------------------------------------------------------------------------


def test_every_whole_function_is_read_in_order_with_its_version_and_archive(
    tabpys: ImportResult,
) -> None:
    assert [
        (function.name, function.version, function.archive) for function in tabpys.functions
    ] == [
        (name, version, STATE / "query_objects" / name / str(version) / "pickle_archive")
        if name != "plus"
        else (name, version, None)
        for name, version in [
            ("Adds", 1),
            ("versioned", 3),
            ("mangled", 1),
            ("plus", 1),
            ("several lines", 1),
            (" leading", 1),
            ("percent", 1),
        ]
    ]


def test_every_broken_function_is_named_with_the_reason_and_the_remedy(
    tabpys: ImportResult,
) -> None:
    assert tabpys.problems == [
        "Function 'lost' is left in TabPy's folder: query_objects has no archive of its version 1."
        " Deploy it again.",
        "Function 'cut-off' is left in TabPy's folder: the archive of its version 1 isn't a whole"
        " pickle. Deploy it again.",
        "Function 'refused' is left in TabPy's folder: state.ini doesn't give its version."
        " Deploy it again.",
    ]


def test_the_schema_is_a_dict_again(tabpys: ImportResult) -> None:
    assert one(tabpys, "Adds").schema == {
        "input": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "it's one"},
                "b": {"type": "number", "description": 'a "second"'},
            },
            "required": ["a", "b"],
        },
        "sample": {"a": 1, "b": 2.5},
        "output": {"type": "number", "description": "größer"},
    }
    assert one(tabpys, "versioned").schema is None


def test_texts_marks_and_times_are_kept(tabpys: ImportResult) -> None:
    adds = one(tabpys, "Adds")
    assert (adds.description, adds.docstring) == ('Adds "ä" and b', "Same as a + b.")
    assert adds.is_public
    versioned = one(tabpys, "versioned")
    assert not versioned.is_public
    assert 1_700_000_000 < versioned.creation_time < versioned.last_modified_time
    assert (versioned.methods, versioned.dependencies) == ([], [])
    assert one(tabpys, "percent").description == "100 % sure"


def test_an_alias_names_its_target(tabpys: ImportResult) -> None:
    assert (one(tabpys, "plus").type, one(tabpys, "plus").target) == ("alias", "Adds")
    assert (one(tabpys, "Adds").type, one(tabpys, "Adds").target) == ("model", None)


def test_letters_mangled_at_each_save_are_whole_again(tabpys: ImportResult) -> None:
    assert (STATE / "state.ini").read_text(encoding="utf-8").count("\xc2") > 100
    assert one(tabpys, "mangled").docstring == "Le café."


def test_a_docstring_keeps_its_lines_and_their_indentation(tabpys: ImportResult) -> None:
    assert one(tabpys, "several lines").docstring == (
        "Fläche eines Rechtecks → Zahl.\n"
        "\n"
        "    width: Breite in Ångström\n"
        "        # nicht in Zoll\n"
        "    height: 高さ\n"
        "    "
    )


def test_the_archive_is_of_the_latest_version_and_still_answers(tabpys: ImportResult) -> None:
    archive = one(tabpys, "versioned").archive
    assert archive is not None
    model = CustomQueryObject.load(archive.parent)
    assert (model.description, model.query(2, 3)) == ("three", 6)


# --- broken entries -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("broken", "its line in state.ini isn't a whole JSON object"),
        ("broken =", "its line in state.ini isn't a whole JSON object"),
        ('broken = {"version": 1, "type": "mo', "its line in state.ini isn't a whole JSON object"),
        ("broken = [1]", "its line in state.ini isn't a whole JSON object"),
        ("broken = " + "[" * 100_000, "its line in state.ini isn't a whole JSON object"),
        (r'broken = {"version": 1, "x": "\ud800"}', "isn't a whole JSON object"),
        ("broken = {}", "its version in state.ini isn't a number from 1 on"),
        (f"broken = {entry(version='1/../..')}", "its version in state.ini isn't a number"),
        (f"broken = {entry(version=0)}", "its version in state.ini isn't a number from 1 on"),
        (f"broken = {entry(version=True)}", "its version in state.ini isn't a number from 1 on"),
        (f"broken = {entry(version=9)}", "no archive of its version 9, only 1"),
        (f"broken = {entry(version=10**300)}", "its archive can't be read (File name too long)"),
        (f"broken = {entry(type='tree')}", "its type in state.ini is 'tree'"),
        (f"broken = {entry(type='alias')}", "it's an alias without a target"),
        (f"broken = {entry(type='alias', target='gone')}", "it's an alias of 'gone', which isn't"),
        (f"broken = {entry(type='alias', target='broken')}", "it's an alias of 'broken', which"),
        (f"../good/../x = {entry()}", "query_objects has no archive of its version 1"),
    ],
)
def test_a_broken_entry_is_named_and_its_neighbours_are_read(
    tmp_path: Path, line: str, why: str
) -> None:
    good = entry()
    write(tmp_path, f"before = {good}\n{line}\nafter = {good}")
    for name in ("before", "broken", "after", "good"):
        add_archive(tmp_path / "query_objects", name)
    moved = read(tmp_path, None)
    assert [function.name for function in moved.functions] == ["before", "after"]
    name = line.partition(" ")[0]
    (problem,) = (problem for problem in moved.problems if f"Function {name!r}" in problem)
    assert why in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("field", "value", "instead"),
    [
        ("schema", "{'sample': nan}", None),
        ("schema", "{'sample': {1, 2}}", None),
        ("schema", "__import__('os').getcwd()", None),
        ("schema", "{" * 10_000, None),
        ("schema", str({"a": "x" * SCHEMA_LIMIT}), None),
        ("schema", "[1]", None),
        ("schema", 5, None),
        ("description", ["no text"], ""),
        ("dependencies", "adds", []),
        ("methods", {}, []),
        ("is_public", "yes", False),
        ("creation_time", "yesterday", 0),
    ],
)
def test_a_broken_detail_is_named_and_the_function_is_taken_over_without(
    tmp_path: Path, field: str, value: object, instead: object
) -> None:
    write(tmp_path, f"adds = {entry(**{field: value})}")
    add_archive(tmp_path / "query_objects", "adds")
    moved = read(tmp_path, None)
    assert getattr(one(moved, "adds"), field) == instead
    (problem,) = moved.problems
    assert problem.startswith(f"Function 'adds' is taken over without its {field}: ")


@pytest.mark.parametrize("schema", [{"a": None}, '{"a": null}', "{'a': None}"])
def test_a_schema_may_be_stored_as_an_object_as_json_or_as_a_repr(
    tmp_path: Path, schema: object
) -> None:
    write(tmp_path, f"adds = {entry(schema=schema)}")
    add_archive(tmp_path / "query_objects", "adds")
    assert one(read(tmp_path, None), "adds").schema == {"a": None}


def test_a_chain_of_aliases_is_taken_over_if_it_ends_in_a_model(tmp_path: Path) -> None:
    def alias(target: str) -> str:
        return entry(type="alias", target=target)

    write(
        tmp_path,
        f"a = {alias('b')}\nb = {alias('model')}\nmodel = {entry()}\n"
        f"c = {alias('d')}\nd = {alias('c')}",
    )
    add_archive(tmp_path / "query_objects", "model")
    moved = read(tmp_path, None)
    assert [function.name for function in moved.functions] == ["a", "b", "model"]
    assert [problem.split("'")[1] for problem in moved.problems] == ["c", "d"]


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "docstring"),
    [
        ("= One.\n\tTwo.\n\n\tFour.", "One.\nTwo.\n\nFour."),
        ("= One.\n\t\n\t", "One.\n\n"),
        ("= \n\t[Meta]\n\t; a = b", "\n[Meta]\n; a = b"),
        ("= One.\n# a comment\n\tTwo.", "One.\nTwo."),
        ("= a = b: c", "a = b: c"),
        (r"= One.\nTwo.\\n", "One.\nTwo.\\n"),
        (r"= \d+ C:\x", r"\d+ C:\x"),
        ("= 100 % of %(x)s, 5 %%", "100 % of %(x)s, 5 %"),
        ("= déjà vu »Ü«", "déjà vu »Ü«"),
        ("= voil\xc3\n\td\xc3\xa9j\xc3\xa0 vu", "voil\xc3\ndéjà vu"),
        (": colon", "colon"),
        ("=", ""),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_docstrings(tmp_path: Path, stored: str, docstring: str, line_end: str) -> None:
    write(tmp_path, f"adds = {entry()}", f"adds {stored}")
    ini = tmp_path / "state.ini"
    ini.write_bytes(ini.read_bytes().replace(b"\n", line_end.encode()))
    add_archive(tmp_path / "query_objects", "adds")
    moved = read(tmp_path, None)
    assert one(moved, "adds").docstring == docstring
    assert moved.problems == []


def test_an_entry_spread_over_lines_by_hand_is_read(tmp_path: Path) -> None:
    lines = json.dumps({"version": 1, "description": "a = b"}, indent=4).replace("\n}", "\n }")
    write(tmp_path, f"adds = {lines}", "adds = One.\n    Two: 2.")
    add_archive(tmp_path / "query_objects", "adds")
    adds = one(read(tmp_path, None), "adds")
    assert (adds.description, adds.docstring) == ("a = b", "One.\n    Two: 2.")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_the_file_may_be_in_the_encoding_of_tabpys_system(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, f"adds = {entry()}", "adds = Ã©tÃ©", encoding)
    add_archive(tmp_path / "query_objects", "adds")
    assert one(read(tmp_path, None), "adds").docstring == "été"


@pytest.mark.parametrize(
    "name", ["it's", '"quoted"', "two words", " leading", "trailing ", "naïve", "100%"]
)
def test_names(tmp_path: Path, name: str) -> None:
    write(tmp_path, f"first = {entry()}\n{name} = {entry()}", f"first = 1\n{name} = its own")
    archive = add_archive(tmp_path / "query_objects", name)
    function = one(read(tmp_path, None), name)
    assert (function.archive, function.docstring) == (archive, "its own")


def test_a_name_in_another_case_is_written_as_its_folder(tmp_path: Path) -> None:
    alias = entry(type="alias", target="adds", dependencies=["adds"])
    write(tmp_path, f"adds = {entry()}\nplus = {alias}", "adds = a + b")
    archive = add_archive(tmp_path / "query_objects", "Adds")
    moved = read(tmp_path, None)
    assert (one(moved, "Adds").archive, one(moved, "Adds").docstring) == (archive, "a + b")
    assert (one(moved, "plus").target, one(moved, "plus").dependencies) == ("Adds", ["Adds"])
    assert moved.problems == []


def test_a_function_never_takes_the_folder_of_another(tmp_path: Path) -> None:
    write(tmp_path, f"Adds = {entry()}\nadds = {entry()}")
    add_archive(tmp_path / "query_objects", "Adds")
    moved = read(tmp_path, None)
    assert [function.name for function in moved.functions] == ["Adds"]
    assert [problem.split("'")[1] for problem in moved.problems] == ["adds"]


def test_a_folder_without_tabpys_files_has_nothing_to_take_over(tmp_path: Path) -> None:
    assert (
        read(tmp_path, None) == read(tmp_path / "none", tmp_path / "none") == ImportResult([], [])
    )


def test_a_state_file_that_cant_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state.ini").mkdir()
    moved = read(tmp_path, None)
    assert moved.functions == []
    assert moved.problems == [
        "No function of TabPy's is taken over: its state.ini can't be read (Is a directory);"
        " make it readable for this server."
    ]


def test_models_whose_state_file_is_lost_are_named(tmp_path: Path) -> None:
    add_archive(tmp_path / "query_objects", "adds")
    (tmp_path / "query_objects" / "no model").mkdir()
    moved = read(tmp_path, None)
    assert moved.functions == []
    assert [problem.split("'")[1] for problem in moved.problems] == ["adds"]


# --- the archives ---------------------------------------------------------------------------------


class Touches:
    """Makes a file when it's unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_no_archive_is_loaded(tmp_path: Path) -> None:
    data = pickle.dumps(Touches(tmp_path / "loaded"))
    write(tmp_path, f"adds = {entry()}")
    add_archive(tmp_path / "query_objects", "adds", data=data)
    assert read(tmp_path, None).functions
    assert not (tmp_path / "loaded").exists()
    pickle.loads(data)
    assert (tmp_path / "loaded").exists()


@pytest.mark.parametrize("data", [b"", b"\x80", b"text.", A_PICKLE[:-1]])
def test_an_archive_that_isnt_a_whole_pickle_is_left(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, f"adds = {entry()}")
    archive = add_archive(tmp_path / "query_objects", "adds", data=data)
    moved = read(tmp_path, None)
    assert moved.functions == []
    (problem,) = moved.problems
    assert "'adds'" in problem
    assert "the archive of its version 1 isn't a whole pickle" in problem
    assert archive.read_bytes() == data


def test_tabpys_folder_comes_first_and_the_setting_second(tmp_path: Path) -> None:
    write(tmp_path, f"here = {entry()}\nthere = {entry()}\nmoved = {entry(version=2)}")
    usual, other = tmp_path / "query_objects", tmp_path / "other"
    here, there = add_archive(usual, "here"), add_archive(other, "there")
    add_archive(other, "here")
    add_archive(usual, "moved", 1)
    newer = add_archive(other, "moved", 2)
    moved = read(tmp_path, other)
    assert [function.archive for function in moved.functions] == [here, there, newer]
    assert moved.problems == []


def test_a_folder_of_models_that_cant_be_read_is_reported(tmp_path: Path) -> None:
    write(tmp_path, f"adds = {entry()}")
    (tmp_path / "query_objects").touch()
    moved = read(tmp_path, None)
    assert moved.functions == []
    assert moved.problems[0] == (
        "TabPy's models in query_objects can't be read (Not a directory);"
        " make it a folder that's readable for this server."
    )
    assert "'adds'" in moved.problems[1]
