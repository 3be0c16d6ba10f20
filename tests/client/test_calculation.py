"""What `deploy` gives to paste into Tableau."""

from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_tools.calculation import Calculation, calculation_of, calculation_of_schema
from tabpy.tabpy_tools.deployment import Deployment
from tabpy.tabpy_tools.schema import generate_schema, schema_of


def of(function: Callable[..., Any], schema: dict[str, Any] | None = None) -> Calculation:
    return calculation_of("Price", function, schema or schema_of(function))


def test_each_argument_is_a_field_of_its_name() -> None:
    def price(a, b):  # type: ignore[no-untyped-def]
        """Nothing says of which types."""

    found = of(price)
    assert found.model == 'MODEL_EXTENSION_REAL("Price", "a,b", SUM([a]), SUM([b]))'
    assert found.script == (
        "SCRIPT_REAL(\"return tabpy.query('Price', _arg1, _arg2)['response']\", SUM([a]), SUM([b]))"
    )


@pytest.mark.parametrize(
    ("hint", "suffix", "field"),
    [
        (list[float], "REAL", "SUM([x])"),
        (list[int], "INT", "SUM([x])"),
        (list[str | None], "STR", "ATTR([x])"),
        (list[bool], "BOOL", "ATTR([x])"),
        (list[Any], "REAL", "SUM([x])"),
        (float, "REAL", "SUM([x])"),
    ],
    ids=["float", "int", "str", "bool", "any", "one value"],
)
def test_types_decide_the_call_and_the_aggregation(hint: Any, suffix: str, field: str) -> None:
    def price(x):  # type: ignore[no-untyped-def]
        """Annotated below."""

    price.__annotations__ = {"x": hint, "return": hint}
    assert of(price).model == f'MODEL_EXTENSION_{suffix}("Price", "x", {field})'


def test_arguments_with_a_default_are_left_out() -> None:
    def price(costs: list[float], margin: float = 0.25) -> list[float]:
        return [cost / (1 - margin) for cost in costs]

    assert of(price).model == 'MODEL_EXTENSION_REAL("Price", "costs", SUM([costs]))'
    assert of(lambda a=1, b=2: a + b).arguments == ("a", "b")


def test_a_schema_that_somebody_wrote_tells_the_types() -> None:
    schema = generate_schema({"name": ["a"], "age": [1]}, ["a"])
    found = of(lambda age, name: name, schema)
    assert found.model == 'MODEL_EXTENSION_STR("Price", "age,name", SUM([age]), ATTR([name]))'


def by_position_only(a: float, /) -> float:
    return a


@pytest.mark.parametrize("function", [by_position_only, lambda *columns: 1, dict, len])
def test_what_has_no_names_is_called_by_a_script(function: Callable[..., Any]) -> None:
    found = of(function)
    assert found.model is None
    assert found.script.startswith("SCRIPT_")
    assert "tabpy.query('Price', _arg1)" in found.script


def test_columns_with_odd_names_are_quoted_as_tableau_does() -> None:
    odd = Calculation("Price", ('a "b"', "c] d"), {}, "number", by_name=True)
    assert odd.model == (
        'MODEL_EXTENSION_REAL("Price", "a ""b"",c] d", SUM([a "b"]), SUM([c]] d]))'
    )
    comma = Calculation("Price", ("a, b",), {}, "number", by_name=True)
    assert comma.model is None
    assert comma.script.endswith("SUM([a, b]))")


def test_a_deployment_shows_itself() -> None:
    deployment = Deployment(
        "Price", 3, "http://localhost:9004", 'MODEL("<a>")', 'SCRIPT("<a>")', ("numpy <2> here",)
    )
    assert repr(deployment).splitlines() == [
        "Price, version 3, at http://localhost:9004",
        "  remark: numpy <2> here",
        '  MODEL("<a>")',
        '  SCRIPT("<a>")',
    ]
    html = deployment._repr_html_()
    assert "Price, version 3" in html
    assert "numpy &lt;2&gt; here" in html
    assert "<pre>MODEL(&quot;&lt;a&gt;&quot;)</pre>" in html
    assert "<a>" not in html
    assert "None" not in Deployment("Price", None, "", "M", "S")._repr_html_()


# Where only the schema is known


def test_the_schema_of_a_signature_gives_the_same_as_the_function() -> None:
    def price(costs: list[float], name: list[str], margin: float = 0.25) -> list[int]:
        return []

    assert calculation_of_schema("Price", schema_of(price)) == of(price)


def test_arguments_whose_order_is_unknown_are_given_by_name() -> None:
    schema = generate_schema({"name": ["a"], "age": [1]}, ["a"])
    assert calculation_of_schema("Price", schema).script == (
        "SCRIPT_STR(\"return tabpy.query('Price', name=_arg1, age=_arg2)['response']\", "
        "ATTR([name]), SUM([age]))"
    )
    schema = generate_schema({"Unit Price": [1.0]}, [1.0])  # which is no name in Python
    assert "query('Price', _arg1)" in calculation_of_schema("Price", schema).script


@pytest.mark.parametrize(
    "schema",
    [
        None,
        "text",
        [],
        {"input": 1},
        {"input": {"properties": {}, "required": 5}},
        {"input": {"type": "array"}},
    ],
)
def test_without_a_schema_there_is_one_argument(schema: object) -> None:
    found = calculation_of_schema("Price", schema)
    assert found.model is None
    assert found.script == (
        "SCRIPT_REAL(\"return tabpy.query('Price', _arg1)['response']\", SUM([_arg1]))"
    )
