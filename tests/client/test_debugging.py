"""Scripts and functions whose author wants to see what they print, and why they fail."""

from collections.abc import Iterator

import pytest

from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.rest import ResponseError
from tests.client.fake_server import Answer, FakeServer, fake_server
from tests.running import Server

FAILURE = {
    "message": "Error processing script",
    "info": "KeyError : 'x'\nline 2: {}['x']",
    "printed": "two\n",
    "trace": "Traceback …",
}


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with fake_server() as fake:
        yield fake


def test_a_script_gets_its_columns_and_what_it_prints_is_printed(
    fake: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answers["POST /evaluate?debug=true"] = Answer({"response": [3], "printed": "one\ntwo"})
    assert Client(fake.url).evaluate("return 3", [1.5], "text") == [3]
    assert fake.last.json == {"script": "return 3", "data": {"_arg1": [1.5], "_arg2": "text"}}
    assert capsys.readouterr().out == "one\ntwo\n"


def test_columns_may_have_the_names_that_the_script_has_for_them(fake: FakeServer) -> None:
    fake.answers["POST /evaluate?debug=true"] = Answer({"response": None, "printed": ""})
    assert Client(fake.url).evaluate("", _arg2=2, _arg1=1) is None
    assert fake.last.json["data"] == {"_arg2": 2, "_arg1": 1}
    Client(fake.url).evaluate("", 1, _arg2=2)
    assert fake.last.json["data"] == {"_arg1": 1, "_arg2": 2}


@pytest.mark.parametrize("named", [{"x": 1}, {"_arg1": 1}, {"_arg3": 1}])
def test_other_names_than_a_scripts_are_refused(fake: FakeServer, named: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"columns are _arg1, _arg2, each once, and not .*"):
        Client(fake.url).evaluate("", 1, **named)
    assert fake.requests == []


@pytest.mark.parametrize("result", [3, None, {"response": 1}, [{"response": 1, "printed": ""}]])
def test_a_server_that_cannot_debug_is_understood_too(fake: FakeServer, result: object) -> None:
    fake.answers["POST /evaluate?debug=true"] = Answer(result)
    assert Client(fake.url).evaluate("return 3") == result


def test_a_script_that_fails_shows_what_it_printed_and_raises_why(
    fake: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answers["POST /evaluate?debug=true"] = Answer(FAILURE, 500)
    with pytest.raises(ResponseError) as raised:
        Client(fake.url).evaluate("print('two')\n{}['x']")
    error = raised.value
    assert str(error) == "500 Error processing script\nKeyError : 'x'\nline 2: {}['x']"
    assert (error.status_code, error.printed, error.trace) == (500, "two\n", "Traceback …")
    assert capsys.readouterr().out == "two\n"


def test_a_function_is_debugged_on_demand(
    fake: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = {"response": 3, "version": 1, "model": "add", "uuid": "u"}
    fake.answers["POST /query/my%20add"] = Answer(reply)
    fake.answers["POST /query/my%20add?debug=true"] = Answer(reply | {"printed": "one\n"})
    client = Client(fake.url)
    assert client.query("my add", 1, 2) == reply
    assert capsys.readouterr().out == ""
    assert client.query("my add", 1, 2, debug=True) == reply | {"printed": "one\n"}
    assert fake.last.json == {"data": [1, 2]}
    assert capsys.readouterr().out == "one\n"


def test_a_functions_own_argument_debug_is_not_mistaken(fake: FakeServer) -> None:
    with pytest.raises(TypeError, match="to be given by position"):
        Client(fake.url).query("f", debug=[1, 2])  # type: ignore[arg-type]
    assert fake.requests == []


def test_an_error_of_an_undebugged_function_has_neither(fake: FakeServer) -> None:
    fake.answers["POST /query/f"] = Answer({"message": "no", "info": "line"}, 500)
    with pytest.raises(ResponseError, match=r"500 no \(line\)") as raised:
        Client(fake.url).query("f")
    assert (raised.value.printed, raised.value.trace) == ("", "")


def test_the_text_of_a_function_that_failed_is_read_from_its_object(fake: FakeServer) -> None:
    # differences, section 2
    info = {"type": "QueryFailed", "uri": "f", "error": "KeyError : 'x'"}
    fake.answers["POST /query/f"] = Answer({"message": "no", "info": info}, 500)
    with pytest.raises(ResponseError) as raised:
        Client(fake.url).query("f")
    assert raised.value.info == "KeyError : 'x'"


def test_on_a_server(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    client = server.client()
    assert client.evaluate("print(len(_arg1))\nreturn sum(_arg1)", [1, 2.5]) == 3.5
    assert capsys.readouterr().out == "2\n"
    with pytest.raises(ResponseError, match=r"ZeroDivisionError : division by zero\nline 2: "):
        client.evaluate("print('so far')\nreturn 1 / _arg1", 0)
    assert capsys.readouterr().out == "so far\n"
