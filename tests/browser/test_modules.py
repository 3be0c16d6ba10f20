"""Browser modules that only work something out; called in a browser, where they run."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tabpy.tabpy_tools.calculation import Calculation
from tests.running import PASSWORD, USER, Server

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(browser: Browser, server: Server) -> Iterator[Call]:
    """Call a function of one of the page's modules, with arguments and a result of JSON's."""
    credentials = {"username": USER, "password": PASSWORD}
    context = browser.new_context(http_credentials=credentials)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/page/try")

    def call_one(module: str, function: str, *arguments: Any) -> Any:
        return page.evaluate(
            """async ([module, name, given]) => {
              const beside = document.querySelector("script[src$='shell.js']").src;
              const found = await import(new URL(module, beside));
              if (name !== "Machines") return found[name](...given);
              const machines = new found.Machines();
              return given[0].map(([machine, now]) => {
                machines.hear({ machine }, now);
                return machines.told.machine;
              });
            }""",
            [module, function, arguments],
        )

    yield call_one
    context.close()


# --- what is pasted ---


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", {}),
        ('{"_arg1": [1, "a"]}', {"_arg1": [1, "a"]}),
        ("Sales\tName\n1.5\tanna\n2\tbob\n", {"_arg1": [1.5, 2], "_arg2": ["anna", "bob"]}),
        ("Sales,Name\n-1e3,anna\n.5,\n", {"_arg1": [-1000.0, 0.5], "_arg2": ["anna", None]}),
        ("1\t2\r\n3\t4", {"_arg1": [1, 3], "_arg2": [2, 4]}),
        ("1\n\n2\n", {"_arg1": [1, 2]}),
        ("anna\tbob\ncarl\tdora", {"_arg1": ["anna", "carl"], "_arg2": ["bob", "dora"]}),
        ("Sales\n1,234.50\n12\n-1,000,000", {"_arg1": [1234.5, 12, -1000000]}),
        ("Sales;Share\n1,5;3,25\n2;4", {"_arg1": [1.5, 2], "_arg2": [3.25, 4]}),
        ("Sales\tn\n1,5\t1\n12,75\t2", {"_arg1": [1.5, 12.75], "_arg2": [1, 2]}),
        ("Code\tn\n00123\t1", {"_arg1": ["00123"], "_arg2": [1]}),
        ("Day\tn\n2026-01-31\t1", {"_arg1": ["2026-01-31"], "_arg2": [1]}),
        ("Is\tn\nTRUE\t1\nfalse\t2\n\t3", {"_arg1": [True, False, None], "_arg2": [1, 2, 3]}),
        ("a,b\n1\n2,3,4", {"_arg1": [1, 2], "_arg2": [None, 3], "_arg3": [None, 4]}),
        ('n,Text\n1,"a ""b"", c\nd"\n2,e', {"_arg1": [1, 2], "_arg2": ['a "b", c\nd', "e"]}),
        ("n\tText\n1\té'🔑\\n", {"_arg1": [1], "_arg2": ["é'🔑\\n"]}),
        ("+5\n-0", {"_arg1": [5, 0]}),
        ("5.\n-.5\n6.e2", {"_arg1": [5, -0.5, 600]}),
        ("n,Text\n1,", {"_arg1": [1], "_arg2": [None]}),
        ('n,Text\n1,"x"y\n2,"z', {"_arg1": [1, 2], "_arg2": ['"x"y', '"z']}),
    ],
)
def test_what_is_pasted_becomes_columns(call: Call, text: str, data: dict[str, Any]) -> None:
    assert json.loads(call("columns.js", "read", text)["json"]) == data


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r'"\u00e4 \ud83d\udd11"', '"ä 🔑"'),
        (r'"\u0022 \u005c \u000a \u001b \n \\u00e4"', r'"\u0022 \u005c \u000a \u001b \n \\u00e4"'),
    ],
)
def test_json_has_letters_where_they_mean_the_same(call: Call, text: str, shown: str) -> None:
    found = call("exact.js", "withLetters", text)
    assert found == shown
    assert json.loads(found) == json.loads(text)


@pytest.mark.parametrize(
    ("values", "texts", "kind"),
    [
        ([1, 2.5, None], ["1", "2.5", None], "number"),
        ([1, 2], ["1", "2.0"], "number"),
        ([1, None], ["1", None], "integer"),
        ([1, 2.5, "a"], ["1", "2.5", "a"], ""),
        ([[1]], [["1"]], ""),
        ([None], [None], ""),
    ],
    ids=str,
)
def test_the_type_of_values_is_one_word_or_none(
    call: Call, values: list[Any], texts: list[Any], kind: str
) -> None:
    assert call("exact.js", "typeOf", values, texts) == kind


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0, "0 ms"), (1.26, "1.3 ms"), (999, "999 ms"), (1000, "1 s"), (90_080, "90.1 s")],
)
def test_a_time_is_shown_in_the_unit_that_fits(call: Call, ms: float, shown: str) -> None:
    assert call("requests.js", "milliseconds", ms) == shown


def test_a_number_is_sent_as_it_was_written(call: Call) -> None:
    found = call("columns.js", "read", "n\n9007199254740993\n0.10000000000000000001")
    assert found["json"] == '{"_arg1": [9007199254740993, 0.10000000000000000001]}'
    assert call("columns.js", "read", '{"_arg1": [9007199254740993, 2.0]}')["columns"] == [
        {"name": "_arg1", "type": "number", "values": ["9007199254740993", "2.0"]}
    ]


@pytest.mark.parametrize(
    ("text", "named", "columns"),
    [
        ("Sales\tName\n1\ta", None, [("Sales", "integer"), ("Name", "string")]),
        ("Sales\tName\n1\ta", False, [("Column 1", "string"), ("Column 2", "string")]),
        ("x\ty\na\tb", None, [("Column 1", "string"), ("Column 2", "string")]),
        ("x\ty\na\tb", True, [("x", "string"), ("y", "string")]),
        ("1\t2\n3\t4", True, [("1", "integer"), ("2", "integer")]),
        ("\tSales\na\t1.5", None, [("Column 1", "string"), ("Sales", "number")]),
        ('{"_arg1": [1, null], "_arg2": "a"}', None, [("_arg1", "integer"), ("_arg2", "string")]),
        ('{"_arg1": [1, "a"], "_arg2": []}', None, [("_arg1", ""), ("_arg2", "")]),
    ],
)
def test_columns_have_names_and_types(
    call: Call, text: str, named: bool | None, columns: list[tuple[str, str]]
) -> None:
    found = call("columns.js", "read", text, named)
    assert [(each["name"], each["type"]) for each in found["columns"]] == columns


@pytest.mark.parametrize(
    ("text", "rows"),
    [("a\n1\n2", 2), ('{"_arg1": [1, 2, 3]}', 3), ('{"_arg1": 1}', None), ("", None)],
)
def test_rows_are_counted(call: Call, text: str, rows: int | None) -> None:
    assert call("columns.js", "read", text)["rows"] == rows


@pytest.mark.parametrize("text", ["{_arg1: 1}", "[1, 2]", "  {", "[{"])
def test_what_begins_like_json_and_is_no_object_is_refused(call: Call, text: str) -> None:
    with pytest.raises(Exception, match="SyntaxError"):
        call("columns.js", "read", text)


# --- what came back ---


@pytest.mark.parametrize(
    ("value", "rows", "said"),
    [
        (None, 3, "Nothing returned: a calculation needs a value. NaN and None are null here"),
        (5, 3, "One value for 3 rows"),
        (5, 1, "One value"),
        ("a", None, "One value"),
        ([5], 3, "1 value for 3 rows"),
        ([1, 2, 3], 3, "3 values for 3 rows"),
        ([1, 2], 3, "2 values for 3 rows: Tableau expects 1 or 3"),
        ([], 3, "0 values for 3 rows: Tableau expects 1 or 3"),
        ([1, 2], 1, "2 values for 1 row: Tableau expects 1"),
        ([1, None, 3], 3, "3 values for 3 rows, 1 null"),
        ([None, None], 2, "2 values for 2 rows, all null"),
        ([1, None], None, "2 values, 1 null"),
        ([0] * 1200, 1200, "1,200 values for 1,200 rows"),
        ({"a": [1, 2], "b": [3, 4]}, 2, "A table of 2 columns and 2 rows"),
        ({"a": [1]}, None, "A table of 1 column and 1 row"),
        ({"a": [1, 2], "b": [3]}, 2, "A table of 2 columns"),
    ],
)
def test_the_number_of_values_is_told_against_that_of_rows(
    call: Call, value: Any, rows: int | None, said: str
) -> None:
    assert call("verdict.js", "verdict", value, rows) == said


@pytest.mark.parametrize(
    ("values", "plotted"),
    [
        ([1, 2.5], True),
        ([1, None, 2], True),
        ([1], False),
        ([], False),
        ([None, None], False),
        ([1, "a"], False),
        ([True, False], False),
    ],
)
def test_numbers_can_be_plotted(call: Call, values: list[Any], plotted: bool) -> None:
    assert call("plot.js", "isPlottable", values) is plotted


# --- calculations ---

NAMES = ["Sales", 'a "b"', "c] d", "it's"]


@pytest.mark.parametrize("result", ["number", "integer", "string", "boolean", ""])
@pytest.mark.parametrize("kind", ["number", "integer", "string", "boolean", ""])
def test_a_calculation_is_the_one_that_the_client_would_make(
    call: Call, kind: str, result: str
) -> None:
    made = Calculation('Price "2"', NAMES, dict.fromkeys(NAMES, kind), result, by_name=False)
    script = "return tabpy.query('Price \"2\"', _arg1, _arg2, _arg3, _arg4)['response']"
    fields = [{"name": name, "type": kind} for name in NAMES]
    assert call("calculation.js", "scriptCalculation", script, fields, result) == made.script


def test_a_script_of_many_lines_stays_one_text(call: Call) -> None:
    script = 'x = "a"\n# it\'s\nreturn [x] * len(_arg1)'
    assert call("calculation.js", "scriptCalculation", script, [], "string") == (
        'SCRIPT_STR("x = ""a""\n# it\'s\nreturn [x] * len(_arg1)")'
    )


# --- machines ---


def test_the_machine_that_answered_first_is_shown_until_it_falls_silent(call: Call) -> None:
    assert shown(call, [("web.1", 0), ("web.2", 3), ("web.2", 6)]) == ["web.1", "web.1", "web.1"]
    assert shown(call, [("web.1", 0), ("web.2", 119), ("web.2", 121)]) == [
        "web.1",
        "web.1",
        "web.2",
    ]


def shown(call: Call, heard: list[tuple[str, float]]) -> Any:
    """Whose word is shown after each that was heard, at so many seconds."""
    return call("machines.js", "Machines", [[name, seconds * 1000] for name, seconds in heard])
