"""A schema as TabPy's client sends it: the text that Python makes of a dict."""

from typing import Any

import pytest

from tabpy.tabpy_server.json_codec import object_in

OBJECT = {"a": [1, 2.5, None, True, 'it\'s "so"'], "b": {"c": {}}}


@pytest.mark.parametrize("text", [str(OBJECT), '{"a": 1}', "{}", "{'a': (1, 2)}", "{1: 2}"])
def test_the_object_in_a_text(text: str) -> None:
    expected = eval(text.replace("null", "None"))
    assert object_in(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no object",
        "[1]",
        "5",
        "{no dict",
        "{'a': {1, 2}}",
        "{'a': b'bytes'}",
        "{'a': object()}",
        "{(1, 2): 3}",
        "{'a': '\ud800'}",
        '{"a": "\\ud800"}',
        "{" * 10_000,
        "[" * 100_000,
        "{'a': 1}\0",
        "{'a': " + "9" * 5_000 + "}",
    ],
)
def test_what_is_in_another_text_is_nothing(text: str) -> None:
    found: Any = object_in(text)
    assert found is None
