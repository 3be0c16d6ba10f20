"""`Client` against a server's endpoints: querying, listing, changing, versions."""

import dataclasses
import datetime
import decimal
import enum
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.rest import ResponseError
from tests.client.fake_server import Answer, FakeServer, fake_server

INFO = {
    "description": "adds",
    "docstring": "Adds.",
    "type": "model",
    "version": 2,
    "dependencies": [],
    "target": None,
    "creation_time": 1469511182,
    "last_modified_time": 1469511183,
    "schema": {"input": {"type": "integer"}},
    "is_public": True,
}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        yield fake


@pytest.fixture
def client(server: FakeServer) -> Client:
    return Client(server.url)


def test_a_query_gives_the_servers_dictionary(server: FakeServer, client: Client) -> None:
    reply = {"response": 3, "version": 1, "model": "add", "uuid": "u"}
    server.answers["POST /query/add"] = Answer(reply)
    assert client.query("add", 1, 2) == reply
    assert server.last.json == {"data": [1, 2]}
    assert server.last.headers["Content-Type"] == "application/json"
    client.query("add", x=1, y=None)
    assert server.last.json == {"data": {"x": 1, "y": None}}
    client.query("add")
    assert server.last.json == {"data": {}}


def test_a_name_is_quoted_in_the_address(server: FakeServer, client: Client) -> None:
    server.answers["POST /query/Gr%C3%B6%C3%9Fe%20A-1_b"] = Answer({})
    assert client.query("Größe A-1_b") == {}


def test_positions_and_names_do_not_mix(client: Client) -> None:
    with pytest.raises(ValueError, match="not mixed"):
        client.query("add", 1, y=2)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.float32(0.5), 0.5),
        (np.int64(5), 5),
        (np.bool_(True), True),
        (np.array(["a"]), ["a"]),
        (np.array(["2026-01-02T03:04:05"], "datetime64[ns]"), ["2026-01-02T03:04:05"]),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Series(["a", pd.NA], dtype="string"), ["a", None]),
        (pd.Index([1, 2]), [1, 2]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), {"a": [1, 2], "b": ["x", "y"]}),
        (
            pd.Series(pd.to_datetime(["2026-01-02", None], utc=True)),
            ["2026-01-02T00:00:00+00:00", None],
        ),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        ({"nested": [np.int8(1)]}, {"nested": [1]}),
    ],
)
def test_arguments_of_numpy_and_pandas(
    server: FakeServer, client: Client, value: object, sent: object
) -> None:
    server.answers["POST /query/f"] = Answer({})
    client.query("f", value)
    assert server.last.json == {"data": [sent]}


class Size(enum.Enum):
    SMALL = "s"


@dataclasses.dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (decimal.Decimal("0.5"), 0.5),
        (datetime.timedelta(minutes=1), 60.0),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (range(3), [0, 1, 2]),
        ((each for each in "ab"), ["a", "b"]),
        ((1, 2), [1, 2]),
        (Size.SMALL, "s"),
        (Point(1.5), {"x": 1.5}),
        ({1: "a"}, {"1": "a"}),
        (2**70, 2**70),
        ("\ud800", "\ud800"),
        (np.array(["NaT", "2026-01-02"], "datetime64[D]"), [None, "2026-01-02T00:00:00"]),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
    ],
)
def test_what_a_function_may_return_may_be_sent(
    server: FakeServer, client: Client, value: object, sent: object
) -> None:
    server.answers["POST /query/f"] = Answer({})
    client.query("f", value)
    assert server.last.json == {"data": [sent]}


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (math.nan, "NaN"),
        ([1.5, None, math.nan], "[1.5,null,NaN]"),
        ({"a": [math.inf, -math.inf]}, '{"a":[Infinity,-Infinity]}'),
        (np.float64("nan"), "NaN"),
        (pd.DataFrame({"a": [1.0, None]}), '{"a":[1.0,NaN]}'),
        ([2**70, math.nan], f"[{2**70},NaN]"),
        (["null", None], '["null",null]'),
    ],
)
def test_numbers_that_are_none_stay_numbers_and_nothing_stays_nothing(
    server: FakeServer, client: Client, value: object, sent: str
) -> None:
    server.answers["POST /query/f"] = Answer({})
    client.query("f", value)
    assert server.last.body.decode() == f'{{"data":[{sent}]}}'


def test_a_reply_may_have_numbers_that_are_none(server: FakeServer, client: Client) -> None:
    server.answers["POST /query/f"] = Answer(b'{"response":[NaN,1.5,Infinity]}')
    assert repr(client.query("f")["response"]) == "[nan, 1.5, inf]"


def test_what_a_value_raises_when_it_is_looked_at_is_raised(client: Client) -> None:
    def failing() -> Iterator[int]:
        raise LookupError("its own")
        yield 1

    with pytest.raises(LookupError, match="its own"):
        client.query("f", failing())


def test_nan_arrives_as_nan(server: FakeServer, client: Client) -> None:
    server.answers["POST /query/f"] = Answer({})
    client.query("f", np.array([math.nan, 1.0]))
    assert server.last.body == b'{"data":[[NaN,1.0]]}'


def test_an_argument_without_json_form_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="You gave a complex, which has no form in JSON: send "):
        client.query("f", 1j)


@pytest.mark.parametrize("name", ["", " add", "add ", "a.b", "a/b", "a:b", "add\n", "../x"])
@pytest.mark.parametrize(
    "call",
    [
        lambda client, name: client.query(name),
        lambda client, name: client.deploy(name, len),
        lambda client, name: client.deploy_alias("ok", name),
        lambda client, name: client.update_endpoint_info(name),
        lambda client, name: client.remove(name),
        lambda client, name: client.versions(name),
        lambda client, name: client.rollback(name, 1),
    ],
)
def test_a_name_that_is_none_never_leaves(
    server: FakeServer, client: Client, call: Callable[[Client, str], object], name: str
) -> None:
    with pytest.raises(ValueError, match="can't name an endpoint: use letters"):
        call(client, name)
    assert server.requests == []


def test_a_name_that_is_no_string_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="is a string, not int"):
        client.query(1)  # type: ignore[arg-type]


def test_endpoints_are_dictionaries_with_attributes(server: FakeServer, client: Client) -> None:
    alias = INFO | {"type": "alias", "target": "add"}
    server.answers["GET /endpoints"] = Answer({"add": INFO, "plus": alias})
    endpoints = client.get_endpoints()
    add = endpoints["add"]
    assert (add.name, add.version, add["version"], add.is_public) == ("add", 2, 2, True)
    assert add.schema == {"input": {"type": "integer"}}
    assert add.creation_time == add["creation_time"] == datetime.datetime(2016, 7, 26, 5, 33, 2)
    assert endpoints["plus"].target == "add"
    assert add.get("evaluator") is None
    with pytest.raises(AttributeError, match="told no 'evaluator'"):
        _ = add.evaluator
    add.description = "changed"
    assert add["description"] == "changed"


@pytest.mark.parametrize(("kind", "names"), [("model", ["add"]), ("alias", ["plus"])])
def test_endpoints_of_one_type(
    server: FakeServer, client: Client, kind: str, names: list[str]
) -> None:
    server.answers["GET /endpoints"] = Answer({"add": INFO, "plus": INFO | {"type": "alias"}})
    assert list(client.get_endpoints(kind)) == names


@pytest.mark.parametrize(
    "changes",
    [
        {"description": ""},
        {"schema": {}},
        {"is_public": False},
        {"description": "d", "schema": {"input": 1}, "is_public": True},
    ],
)
def test_an_update_sends_what_is_given_and_nothing_else(
    server: FakeServer, client: Client, changes: dict[str, Any]
) -> None:
    server.answers["PUT /endpoints/add"] = Answer({"add": INFO})
    client.update_endpoint_info("add", **changes)
    assert server.last.json == changes


@pytest.mark.parametrize("change", [{"description": 1}, {"schema": "{}"}, {"is_public": 1}])
def test_an_update_of_the_wrong_type_is_refused(
    server: FakeServer, client: Client, change: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(change))} has to be of type"):
        client.update_endpoint_info("add", **change)
    assert server.requests == []


def test_an_unknown_endpoint_is_a_runtime_error_too(client: Client) -> None:
    for call in (client.remove, client.versions, client.update_endpoint_info):
        with pytest.raises(RuntimeError, match="404 Unknown endpoint") as failure:
            call("nope")
        assert isinstance(failure.value, ResponseError)


def test_removing(server: FakeServer, client: Client) -> None:
    server.answers["DELETE /endpoints/my%20add"] = Answer(status=204)
    client.remove("my add")
    assert server.last.method == "DELETE"


def test_endpoints_show_themselves_in_a_notebook(server: FakeServer, client: Client) -> None:
    told = INFO | {"description": "adds <b>", "dependencies": ["other"]}
    server.answers["GET /endpoints"] = Answer({"add <i>": told})
    endpoints = client.get_endpoints()
    whole, one = endpoints._repr_html_(), endpoints["add <i>"]._repr_html_()
    for shown in (whole, one):
        assert "add &lt;i&gt;" in shown
        assert "adds &lt;b&gt;" in shown
        assert "<b>" not in shown
    assert "2016-07-26 05:33:02" in one
    assert "adds <b>" in repr(endpoints)


def test_versions_show_who_deployed_them_in_a_notebook(server: FakeServer, client: Client) -> None:
    newest = {"version": 3, "author": "ann <b>", "creation_time": 1469511182, "python": "3.13.0"}
    older = {"version": 2, "requirements": ["numpy>=2"]}
    server.answers["GET /endpoints/add/versions"] = Answer(
        {"current": 2, "versions": [newest, older]}
    )
    shown = client.versions("add")._repr_html_()
    assert "<td>ann &lt;b&gt;</td>" in shown
    assert "<td>2 (answers)</td>" in shown
    assert "<td>3</td><td>2016-07-26 05:33:02</td>" in shown


def test_versions(server: FakeServer, client: Client) -> None:
    versions = {"current": 3, "versions": [{"version": 3, "size": 10}]}
    server.answers["GET /endpoints/add/versions"] = Answer(versions)
    assert client.versions("add") == versions


def test_rolling_back(server: FakeServer, client: Client) -> None:
    server.answers["POST /endpoints/add/rollback"] = Answer({"add": INFO})
    client.rollback("add", 2)
    assert server.last.json == {"version": 2}


def test_an_alias_is_made(server: FakeServer, client: Client) -> None:
    server.answers["POST /endpoints"] = Answer({"plus": INFO}, 201)
    client.deploy_alias("plus", "add", "other name")
    assert server.last.json == {
        "name": "plus",
        "type": "alias",
        "target": "add",
        "description": "other name",
    }


def test_an_alias_is_replaced_only_on_demand(server: FakeServer, client: Client) -> None:
    server.answers["GET /endpoints/plus"] = Answer(INFO)
    server.answers["PUT /endpoints/plus"] = Answer({"plus": INFO})
    with pytest.raises(RuntimeError, match="override=True"):
        client.deploy_alias("plus", "add")
    client.deploy_alias("plus", "add", override=True)
    assert json.loads(server.last.body)["target"] == "add"
