"""/endpoints by plain HTTP: deploying, changing, going back and removing, and what is refused."""

import concurrent.futures
import itertools
import json
import os
import pickle
import platform
import socket
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.deploying import (
    FORM,
    Line,
    archive_of,
    deploy,
    form,
    lines,
    part,
    redeploy,
    upload,
)
from tests.running import PASSWORD, USER, Reply, Server, basic, until

ROOT = Path(__file__).parents[2]
NAMES = (f"f{number}" for number in itertools.count())
KEPT = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("endpoints")
    settings = {
        "WEB_CONCURRENCY": "2",
        "TABPY_WORKERS": "1",
        "TABPY_MODELS_PATH": str(folder / "none"),
        "TABPY_KEEP_VERSIONS": str(KEPT),
        "TABPY_MAX_REQUEST_SIZE_MB": "0.5",
        "TABPY_MAX_UPLOAD_SIZE_MB": "1",
    }
    running = Server(folder, settings).wait_until_ready()
    yield running
    running.kill()


@pytest.fixture
def processes(server: Server) -> Iterator[list[Line]]:
    """A connection to each of the two web processes: new, since the server closes idle ones."""
    with lines(server) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """Of an endpoint that no other test uses."""
    return next(NAMES)


@pytest.fixture(scope="module")
def existing(server: Server) -> str:
    """An endpoint that stays as it is, since whatever is asked of it is refused."""
    assert deploy(server, "existing", constant(1)).status == 201
    return "existing"


@pytest.fixture
def destination(server: Server) -> Path:
    """Where clients on this machine put archives."""
    return Path(server.request("GET", "/configurations/endpoint_upload_destination").json["path"])


def constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def send(server: Server, method: str, path: str, **body: Any) -> Reply:
    return server.request(method, path, json.dumps(body))


def begin(server: Server, body: bytes, length: int) -> socket.socket:
    """A client that has sent so much of an upload and will hang up."""
    client = socket.create_connection(("127.0.0.1", server.port))
    headers = {
        **FORM,
        "Host": "localhost",
        "Authorization": basic(USER, PASSWORD),
        "Content-Length": str(len(body)),
    }
    lines = ["POST /endpoints HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    client.sendall("\r\n".join([*lines, "", ""]).encode() + body[:length])
    return client


def stage(folder: Path, data: bytes) -> Path:
    """An archive where TabPy's client would put it."""
    folder.mkdir(parents=True)
    (folder / "pickle_archive").write_bytes(data)
    return folder


def refusal(reply: Reply, status: int = 400) -> str:
    """Message and info of an error, which tell nothing of the server's insides."""
    found, message, info = reply.error
    assert found == status, (message, info)
    assert message
    assert "Traceback" not in info
    assert "/" not in message.replace("/endpoints", "")
    return f"{message} {info}"


def ask(processes: list[Line], method: str, path: str, body: str | None = None) -> list[Reply]:
    """Each web process's reply to the same request."""
    return [each.request(method, path, body) for each in processes]


def answers(processes: list[Line], name: str) -> set[Any]:
    """What the web processes answer: of one mind, there is one."""
    replies = ask(processes, "POST", f"/query/{name}", '{"data": []}')
    return {each.json["response"] if each.status == 200 else each.status for each in replies}


# --- deploying ---


@pytest.mark.parametrize("way", ["multipart", "src_path"])
def test_a_new_function_is_there_in_every_web_process(
    server: Server, processes: list[Line], destination: Path, name: str, way: str
) -> None:
    told = {
        "description": "what it is",
        "docstring": "how it works",
        "methods": [{"method": "query"}],
        "dependencies": ["another"],
        "schema": {"input": {"type": "object"}},
        "is_public": True,
    }
    if way == "multipart":
        reply = deploy(server, name, constant(7), **told)
    else:
        folder = stage(destination / "endpoints" / name / "1", archive_of(constant(7)))
        reply = send(server, "POST", "/endpoints", name=name, src_path=str(folder), **told)
        assert not folder.exists()  # stored, so no longer needed
        assert destination.is_dir()

    assert reply.status == 201
    info = reply.json[name]
    times = [info.pop("creation_time"), info.pop("last_modified_time")]
    assert times[0] == times[1] > 1_600_000_000
    assert info == {**told, "type": "model", "version": 1, "target": None, "pure": False}
    assert answers(processes, name) == {7}
    for each in ask(processes, "GET", f"/endpoints/{name}"):
        assert each.json == reply.json[name]
    for each in ask(processes, "GET", "/endpoints"):
        assert each.json[name] == reply.json[name]
    for each in ask(processes, "GET", "/status"):
        assert each.json[name] == {
            "version": 1,
            "type": "model",
            "status": "LoadSuccessful",
            "last_error": None,
        }


def test_what_is_not_told_has_its_defaults(server: Server, name: str) -> None:
    info = deploy(server, name, constant(1)).json[name]
    assert (info["type"], info["description"], info["docstring"]) == ("model", "", "")
    assert (info["methods"], info["dependencies"], info["schema"]) == ([], [], None)
    assert (info["target"], info["is_public"]) == (None, False)


def test_a_name_is_taken_once(server: Server, processes: list[Line], name: str) -> None:
    deploy(server, name, constant(1))
    assert f"'{name}' exists already" in refusal(deploy(server, name, constant(2)))
    assert answers(processes, name) == {1}


@pytest.mark.parametrize("good", ["With Tax", "a-b_c", "größe 2", "売上", "x" * 200, "ß"])
def test_names_of_letters_digits_hyphens_underscores_and_inner_spaces(
    server: Server, good: str
) -> None:
    assert deploy(server, good, constant(1)).status == 201
    assert server.query(good).json["model"] == good
    assert server.request("GET", "/endpoints").json[good]["version"] == 1


@pytest.mark.parametrize("way", ["multipart", "src_path", "src_path alone"])
def test_a_new_version_takes_over_everywhere(
    server: Server, processes: list[Line], destination: Path, name: str, way: str
) -> None:
    created = deploy(server, name, constant(1), description="kept", docstring="old").json[name]
    assert answers(processes, name) == {1}
    if way == "multipart":
        reply = redeploy(server, name, constant(2), docstring="new")
    else:
        folder = stage(destination / "endpoints" / name / "2", archive_of(constant(2)))
        told: dict[str, Any] = {"src_path": str(folder), "docstring": "new"}
        if way == "src_path":  # TabPy's clients up to 2.11 don't say it
            told["should_update_version"] = True
        reply = send(server, "PUT", f"/endpoints/{name}", **told)
        assert not folder.exists()
    assert reply.status == 200
    info = reply.json[name]
    assert (info["version"], info["description"], info["docstring"]) == (2, "kept", "new")
    assert info["creation_time"] == created["creation_time"]
    assert answers(processes, name) == {2}


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "other"},
        {"docstring": "other"},
        {"schema": {"type": "string"}},
        {"is_public": False},
        {"dependencies": ["b"], "methods": [{"method": "query"}]},
        {},
    ],
)
def test_a_change_of_metadata_changes_what_it_names(
    server: Server, processes: list[Line], name: str, changes: dict[str, Any]
) -> None:
    told = {
        "description": "one",
        "docstring": "two",
        "schema": {"type": "number"},
        "is_public": True,
        "dependencies": ["a"],
        "methods": [],
    }
    before = deploy(server, name, constant(1), **told).json[name]
    reply = send(server, "PUT", f"/endpoints/{name}", **changes)
    assert reply.status == 200
    after = reply.json[name]
    assert after.pop("last_modified_time") >= before.pop("last_modified_time")
    assert after == {**before, **changes}
    assert after["version"] == 1
    for each in ask(processes, "GET", f"/endpoints/{name}"):
        assert {key: each.json[key] for key in changes} == changes


TEXTS = [
    "100 % sure, %(name)s, %%",
    'it\'s "quoted", `so`',
    "C:\\new\\table \\u0041 \\",
    "one\ntwo\r\nthree\rfour\n\n  five\t\n",
    "before\0after",
    "🔑 👩🏽‍💻 e\u0301",
    "lone \ud800 surrogate",
    "größer → 高さ مرحبا שלום \u202e \u2028 \ufeff",
    "[Section]\nkey = value\n# no comment; none",
    "'; DROP TABLE tabpy_endpoints; --",
    "  ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back_as_they_were_sent(
    server: Server, processes: list[Line], name: str, text: str
) -> None:
    told = {"description": text, "docstring": text, "schema": {text: [text]}}
    created = deploy(server, name, constant(1), **told)
    assert created.status == 201
    changed = send(server, "PUT", f"/endpoints/{name}", methods=[text], dependencies=[text])
    assert changed.status == 200
    for each in ask(processes, "GET", f"/endpoints/{name}"):
        assert {key: each.json[key] for key in told} == told
        assert (each.json["methods"], each.json["dependencies"]) == ([text], [text])
    for each in ask(processes, "GET", "/endpoints"):
        assert each.json[name]["description"] == text


def test_a_schema_that_tabpys_client_made_a_text_of_is_one_again(server: Server, name: str) -> None:
    schema = {"input": {"description": 'it\'s "a"'}, "sample": [None, True, 1.5]}
    assert deploy(server, name, constant(1), schema=str(schema)).json[name]["schema"] == schema
    text = "{no dict"
    assert deploy(server, next(NAMES), constant(1), schema=text).status == 201
    changed = send(server, "PUT", f"/endpoints/{name}", schema=text)
    assert changed.json[name]["schema"] == text


def test_numbers_in_a_schema_come_back_and_what_is_no_number_is_null(
    server: Server, name: str
) -> None:
    schema = {"sample": [2**70, -1.5, 1e300], "none": [float("nan"), float("inf")]}
    assert deploy(server, name, constant(1), schema=schema).status == 201
    found = server.request("GET", "/endpoints").json[name]["schema"]
    assert found == {"sample": [2**70, -1.5, 1e300], "none": [None, None]}


def test_a_schema_that_is_a_text_is_not_evaluated_by_the_web_process(
    start: Callable[..., Server], name: str
) -> None:
    """It takes a parser hundreds of megabytes, and seconds in which nobody else is answered."""
    settings = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1", "TABPY_SCRIPT_MEMORY_MB": "2000"}
    server = start(settings)
    (web_process,) = server.web_processes()
    numbers = [1] * 300_000
    text = str({"a": numbers})

    def peak() -> int:
        """Bytes."""
        status = Path(f"/proc/{web_process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    assert deploy(server, name, constant(1)).status == 201
    before = peak()
    assert deploy(server, next(NAMES), constant(1), schema=text).status == 201
    changed = send(server, "PUT", f"/endpoints/{name}", schema=text)
    assert changed.json[name]["schema"] == {"a": numbers}
    assert peak() - before < 60_000_000


# --- versions ---


def test_the_newest_versions_are_kept_and_one_can_be_brought_back(
    server: Server, processes: list[Line], name: str
) -> None:
    deploy(
        server,
        name,
        constant(1),
        docstring="1",
        description="all",
        python=platform.python_version(),
    )
    for number in range(2, 6):
        redeploy(server, name, constant(number), docstring=str(number), packages={"numpy": "2"})
    kept = server.request("GET", f"/endpoints/{name}/versions").json
    assert (kept["current"], [each["version"] for each in kept["versions"]]) == (5, [5, 4, 3])
    assert all(each["size"] > 0 and len(each["sha256"]) == 64 for each in kept["versions"])
    assert kept["versions"][0]["packages"] == {"numpy": "2"}
    assert {each["author"] for each in kept["versions"]} == {USER}

    back = send(server, "POST", f"/endpoints/{name}/rollback", version=3)
    assert back.status == 200
    info = back.json[name]
    assert (info["version"], info["docstring"], info["description"]) == (3, "3", "all")
    assert answers(processes, name) == {3}
    for each in ask(processes, "GET", f"/endpoints/{name}/versions"):
        assert each.json["current"] == 3
        assert [version["version"] for version in each.json["versions"]] == [5, 4, 3]

    assert redeploy(server, name, constant(6)).json[name]["version"] == 6  # no number twice
    kept = server.request("GET", f"/endpoints/{name}/versions").json
    assert (kept["current"], [each["version"] for each in kept["versions"]]) == (6, [6, 5, 4])
    gone = send(server, "POST", f"/endpoints/{name}/rollback", version=3)
    assert f"'{name}' has no version 3. Kept are: 4, 5, 6." in refusal(gone, 404)
    assert answers(processes, name) == {6}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"version": "1"}, 400),
        ({"version": True}, 400),
        ({"version": 1.0}, 400),
        ({"version": None}, 400),
        ({"version": 0}, 404),
        ({"version": -1}, 404),
        ({"version": 2**31}, 400),
        ({"version": 2**63}, 400),
        ({"version": 2**64 - 1}, 400),
        ({"version": 2**80}, 400),
    ],
)
def test_a_version_that_cannot_be(
    server: Server, existing: str, body: dict[str, Any], status: int
) -> None:
    reply = send(server, "POST", f"/endpoints/{existing}/rollback", **body)
    assert "version" in refusal(reply, status)


def test_an_alias_has_no_versions_of_its_own(server: Server, existing: str, name: str) -> None:
    alias(server, name, existing)
    kept = server.request("GET", f"/endpoints/{name}/versions")
    assert (kept.status, kept.json) == (200, {"current": 1, "versions": []})
    reply = send(server, "POST", f"/endpoints/{name}/rollback", version=1)
    assert f"'{name}' has no version 1. Kept are: none." in refusal(reply, 404)


# --- aliases ---


def alias(server: Server, name: str, target: Any, method: str = "POST") -> Reply:
    path = "/endpoints" if method == "POST" else f"/endpoints/{name}"
    return send(server, method, path, name=name, type="alias", target=target)


def test_an_alias_answers_for_its_target(server: Server, processes: list[Line], name: str) -> None:
    deploy(server, name, constant(1))
    other = next(NAMES)
    created = alias(server, other, name)
    assert created.status == 201
    assert (created.json[other]["type"], created.json[other]["target"]) == ("alias", name)
    assert answers(processes, other) == {1}
    assert server.query(other).json["model"] == name
    redeploy(server, name, constant(2))
    assert answers(processes, other) == {2}

    second = next(NAMES)
    deploy(server, second, constant(3))
    assert alias(server, other, second, "PUT").status == 200
    assert answers(processes, other) == {3}


def test_what_an_alias_points_to_is_not_removed(
    server: Server, processes: list[Line], name: str
) -> None:
    deploy(server, name, constant(1))
    other = next(NAMES)
    alias(server, other, name)
    told = refusal(server.request("DELETE", f"/endpoints/{name}"))
    assert told.startswith(f"Endpoint '{name}' is used by '{other}'.")
    for each in ask(processes, "POST", f"/query/{other}", '{"data": []}'):
        assert each.json["response"] == 1
    for removed in (other, name):
        assert server.request("DELETE", f"/endpoints/{removed}").status == 204


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_alias_leads_to_a_model(server: Server, name: str, method: str) -> None:
    model, other = next(NAMES), next(NAMES)
    deploy(server, model, constant(1))
    alias(server, other, model)
    if method == "PUT":
        alias(server, name, model)
    for target, problem in [
        ("no such", "there is no endpoint 'no such'"),
        (name, "alias of itself"),
        (other, f"'{other}' is an alias itself"),
    ]:
        reply = alias(server, name, target, method)
        assert f"'{name}' can't be an alias of '{target}'" in refusal(reply)
        assert problem in refusal(reply)
    if method == "PUT":
        assert server.query(name).json["response"] == 1


@pytest.mark.parametrize("target", [None, "", 5, ["a"]])
def test_an_alias_without_a_target(server: Server, name: str, target: Any) -> None:
    assert "target" in refusal(alias(server, name, target)).lower()
    assert server.request("GET", f"/endpoints/{name}").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_target_makes_no_alias_of_a_model(
    server: Server, processes: list[Line], name: str, method: str
) -> None:
    deploy(server, "target", constant(0))
    if method == "POST":
        deploy(server, name, constant(1), target="target")
    else:
        deploy(server, name, constant(1))
        send(server, "PUT", f"/endpoints/{name}", target="target")
    server.request("DELETE", "/endpoints/target")
    assert answers(processes, name) == {1}
    for each in ask(processes, "GET", "/status"):
        assert each.json[name]["status"] == "LoadSuccessful"


def test_a_model_stays_one_and_so_does_an_alias(server: Server, name: str) -> None:
    deploy(server, name, constant(1))
    other = next(NAMES)
    alias(server, other, name)
    assert f"'{name}' is of type model" in refusal(alias(server, name, other, "PUT"))
    assert f"'{other}' is an alias" in refusal(redeploy(server, other, constant(2)))
    assert server.query(other).json["response"] == 1


# --- removing ---


def test_what_is_removed_is_gone_everywhere(
    server: Server, processes: list[Line], name: str
) -> None:
    deploy(server, name, constant(1))
    assert answers(processes, name) == {1}
    reply = server.request("DELETE", f"/endpoints/{name}")
    assert (reply.status, reply.body) == (204, b"")
    assert answers(processes, name) == {404}
    for each in ask(processes, "GET", "/endpoints"):
        assert name not in each.json

    deploy(server, name, constant(2))
    assert answers(processes, name) == {2}
    kept = server.request("GET", f"/endpoints/{name}/versions").json
    assert [each["version"] for each in kept["versions"]] == [1]


def test_what_is_removed_twice_at_once_is_removed_once(server: Server) -> None:
    for _ in range(5):
        name = next(NAMES)
        deploy(server, name, constant(1))
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            replies = list(
                threads.map(lambda _: server.request("DELETE", f"/endpoints/{name}"), range(4))  # noqa: B023
            )
        assert sorted(each.status for each in replies) == [204, 404, 404, 404]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("POST", "/rollback"),
    ],
)
@pytest.mark.parametrize("unknown", ["nosuch", "no%20such", "a%2Fb", "100%25", "%F0%9F%94%91"])
def test_what_is_not_there(server: Server, method: str, path: str, unknown: str) -> None:
    body = None if method in ("GET", "DELETE") else '{"version": 1}'
    reply = server.request(method, f"/endpoints/{unknown}{path}", body)
    if method == "PUT" and not unknown.startswith("no"):
        assert "name" in refusal(reply)
    else:
        assert "Unknown endpoint" in refusal(reply, 404)


@pytest.mark.parametrize("path", ["a%00b", "%FF", "%ED%A0%80"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_path_that_is_no_name(server: Server, method: str, path: str) -> None:
    reply = server.request(method, f"/endpoints/{path}", None if method == "GET" else "{}")
    assert refusal(reply, reply.status)
    assert reply.status in (400, 404)


# --- what can't be right ---


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        " ",
        " leading",
        "trailing ",
        "a/b",
        "../up",
        "a.b",
        "100%",
        "a\nb",
        "a\0b",
        "a\\b",
        "🔑",
        "\ud800",
        5,
        True,
        ["a"],
        {"a": 1},
    ],
)
@pytest.mark.parametrize("kind", ["model", "alias"])
def test_a_name_that_cannot_be(server: Server, bad: Any, kind: str) -> None:
    body = upload({"name": bad, "type": kind, "target": "x"}, archive_of(constant(1)))
    assert "name" in refusal(server.request("POST", "/endpoints", body, headers=FORM))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("description", 5),
        ("description", ["x"]),
        ("docstring", {}),
        ("methods", "query"),
        ("dependencies", {"a": 1}),
        ("schema", 5),
        ("is_public", "yes"),
        ("is_public", 1),
        ("target", 5),
        ("requirements", "numpy"),
        ("requirements", [1]),
        ("packages", ["numpy"]),
        ("packages", {"numpy": 2}),
        ("type", "function"),
        ("type", 5),
        ("type", ["model"]),
        ("type", {}),
        ("type", "\ud800"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_field_of_the_wrong_type_is_named(
    server: Server, existing: str, method: str, field: str, value: Any
) -> None:
    if method == "POST":
        reply = deploy(server, "new", b"", **{field: value})
    else:
        reply = redeploy(server, existing, b"", **{field: value})
    assert field in refusal(reply)
    assert server.request("GET", "/endpoints/new").status == 404
    assert server.request("GET", f"/endpoints/{existing}").json["version"] == 1


def test_a_schema_nested_too_deep_is_refused(server: Server, name: str) -> None:
    metadata = f'{{"name": "{name}", "schema": {"[" * 900}{"]" * 900}}}'.encode()
    body = form(part("metadata", metadata), part("archive", archive_of(constant(1))))
    assert "schema" in refusal(server.request("POST", "/endpoints", body, headers=FORM))


@pytest.mark.parametrize("body", ["", "{", "nonsense", "[]", '"text"', "5", "null", "[" * 5000])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_is_no_object(server: Server, existing: str, method: str, body: str) -> None:
    path = "/endpoints" if method == "POST" else f"/endpoints/{existing}"
    assert "JSON" in refusal(server.request(method, path, body))
    whole = form(part("metadata", body.encode()), part("archive", archive_of(constant(1))))
    assert "JSON" in refusal(server.request(method, path, whole, headers=FORM))


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_no_archive(server: Server, existing: str, method: str) -> None:
    path = "/endpoints" if method == "POST" else f"/endpoints/{existing}"
    metadata = {"name": "new", "should_update_version": True}
    body = form(part("metadata", json.dumps(metadata).encode()))
    for reply in (
        send(server, method, path, **metadata),
        send(server, method, path, **metadata, src_path=""),
        server.request(method, path, body, headers=FORM),
    ):
        assert refusal(reply).startswith("There is no archive.")


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([("archive", b"x")], "no part 'metadata'"),
        ([], "ends before|no part 'metadata'"),
        ([("metadata", b"{}"), ("metadata", b"{}")], "part 'metadata' that isn't expected"),
        (
            [("metadata", b"{}"), ("archive", b"x"), ("archive", b"y")],
            "part 'archive' that isn't expected",
        ),
        ([("metadata", b"{}"), ("other", b"x")], "part 'other' that isn't expected"),
        ([("", b"{}")], "part '' that isn't expected"),
    ],
)
def test_an_upload_of_the_wrong_parts(
    server: Server, parts: list[tuple[str, bytes]], problem: str
) -> None:
    body = form(*(part(*each) for each in parts))
    text = refusal(server.request("POST", "/endpoints", body, headers=FORM))
    assert any(each in text for each in problem.split("|"))


@pytest.mark.parametrize("left", [0, 1, 20, 60, 120, -20, -5])
def test_an_upload_that_is_cut_off(server: Server, name: str, left: int) -> None:
    body = upload({"name": name}, archive_of(constant(1)))
    reply = server.request("POST", "/endpoints", body[:left], headers=FORM)
    problem = "ends before its last boundary" if left else "it is empty"
    assert problem in refusal(reply)
    assert server.request("GET", f"/endpoints/{name}").status == 404


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        "multipart/form-data; boundary=" + "x" * 300,
        "Multipart/Form-Data; charset=utf-8",
    ],
)
def test_an_upload_whose_boundary_is_not_found(
    server: Server, name: str, content_type: str
) -> None:
    body = upload({"name": name}, archive_of(constant(1)))
    headers = {"Content-Type": content_type}
    reply = server.request("POST", "/endpoints", body, headers=headers)
    assert refusal(reply).startswith("The upload can't be read.")


def test_a_part_with_endless_headers(server: Server) -> None:
    body = form(part("metadata", b"{}"))
    long = body.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n", 1)
    reply = server.request("POST", "/endpoints", long, headers=FORM)
    assert refusal(reply).startswith("The upload can't be read.")


def test_archives_have_a_limit_of_their_own(server: Server, name: str) -> None:
    large = os.urandom(600_000)
    assert deploy(server, name, lambda: len(large)).status == 201  # more than a request may have
    assert server.query(name).json["response"] == 600_000
    too_large = os.urandom(1 << 20)
    reply = deploy(server, next(NAMES), lambda: len(too_large))
    assert "exceeded limit of 1048576 (bytes)" in refusal(reply, 413)
    plain = send(server, "POST", "/endpoints", name=next(NAMES), description="x" * 600_000)
    assert "exceeded limit of 524288 (bytes)" in refusal(plain, 413)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_metadata_has_a_limit_however_it_is_sent(start: Callable[..., Server], method: str) -> None:
    server = start({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"})
    path = "/endpoints" if method == "POST" else "/endpoints/f"
    assert deploy(server, "f", constant(1)).status == 201
    told = {"name": "a", "type": "alias", "target": "f"} if method == "POST" else {}
    for size, status in ((4 << 20, 201 if method == "POST" else 200), ((4 << 20) + 1, 413)):
        body = json.dumps({**told, "description": "x"})
        reply = server.request(method, path, body + " " * (size - len(body)))
        assert reply.status == status
    assert refusal(reply, 413) == (
        "Request with size 4194305 exceeded limit of 4194304 (bytes). Request Entity Too Large"
    )
    large = form(part("metadata", json.dumps({"name": "g", "docstring": "x" * (4 << 20)}).encode()))
    text = refusal(server.request(method, path, large, headers=FORM))
    assert "its metadata is larger than 4194304 bytes" in text


def test_an_upload_of_unknown_length_has_the_same_limit(server: Server, name: str) -> None:
    body = upload({"name": name}, bytes(3 << 20))
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    reply = server.request("POST", "/endpoints", pieces, headers=FORM)
    assert "exceeded limit of 1048576 (bytes)" in refusal(reply, 413)


def test_uploads_leave_nothing_behind(server: Server, name: str) -> None:
    deploy(server, name, constant(1))
    deploy(server, name, constant(1))  # refused
    body = upload({"name": name}, bytes(100_000))
    server.request("POST", "/endpoints", body[:-50], headers=FORM)
    incoming = server.folder / "state" / "incoming"
    until(lambda: not list(incoming.iterdir()), "no uploads are left")


def test_an_upload_that_a_killed_server_left_is_removed_in_time(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    settings = {
        "TABPY_SCRIPT_WRITE": "",
        "TABPY_STATE_PATH": str(tmp_path),
        "TABPY_MODELS_PATH": str(tmp_path / "none"),
    }
    server = start(settings)
    incoming = tmp_path / "incoming"
    body = upload({"name": "cut"}, bytes(3 << 20))
    with begin(server, body, 2 << 20):
        (left,) = until(lambda: list(incoming.glob("*")), "it's coming in")
        server.crash()
    young = incoming / "young"
    young.touch()
    os.utime(left, (0, 0))
    start(settings)
    until(lambda: not left.exists(), "the old one is gone")
    assert young.exists()


# --- src_path ---


@pytest.mark.parametrize(
    "shape",
    [
        "{outside}",
        "{destination}/../../outside",
        "{destination}",
        "{destination}/link",
        "{destination}/link/deeper",
        "{destination}/folder",
        "{destination}-beside",
        "/",
        "relative",
        "",
        "..",
        "/proc/self",
    ],
)
def test_only_folders_inside_the_destination_are_read(
    server: Server, destination: Path, tmp_path: Path, name: str, shape: str
) -> None:
    data = archive_of(constant(1))
    outside = stage(server.folder / "outside" / name, data)
    (outside.parent / "pickle_archive").write_bytes(data)
    stage(outside / "deeper", data)
    beside = destination.with_name("uploads-beside")
    for link, target in (
        (destination / "link", outside),
        (destination / "folder" / "pickle_archive", outside / "pickle_archive"),
    ):
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    beside.mkdir(exist_ok=True)
    (beside / "pickle_archive").write_bytes(data)
    (destination / "pickle_archive").write_bytes(data)
    kept = destination / "of-another-client"
    kept.mkdir(exist_ok=True)
    path = shape.format(outside=outside, destination=destination)
    reply = send(server, "POST", "/endpoints", name=name, src_path=path)
    text = refusal(reply)
    assert str(server.folder) not in text
    assert (outside / "pickle_archive").exists()
    assert kept.is_dir()
    assert server.request("GET", f"/endpoints/{name}").status == 404


@pytest.mark.parametrize(
    "path", ["{}/no such", "{}/a\0b", "{}/\ud800", "{}/" + "x" * 5000, 5, ["a"], True, {"a": 1}]
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_src_path_that_is_none(
    server: Server, existing: str, destination: Path, method: str, path: Any
) -> None:
    # differences 34
    source = path.format(destination) if isinstance(path, str) else path
    where = "/endpoints" if method == "POST" else f"/endpoints/{existing}"
    told = {"name": "new", "src_path": source}
    assert "src_path" in refusal(send(server, method, where, **told))


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_is_refused_is_removed_too(
    server: Server, existing: str, destination: Path, name: str, method: str
) -> None:
    path = "/endpoints" if method == "POST" else f"/endpoints/{existing}"
    told: dict[str, Any] = {"name": existing, "should_update_version": True}
    for number, problem in enumerate(({}, {"description": 5})):
        folder = stage(destination / "endpoints" / name / str(number), b"no archive")
        refusal(send(server, method, path, **told, **problem, src_path=str(folder)))
        assert not folder.exists()
    assert destination.is_dir()


def test_an_alias_has_no_use_for_a_src_path(
    server: Server, processes: list[Line], existing: str, name: str
) -> None:
    told = {"type": "alias", "target": existing, "src_path": "/no such"}
    assert send(server, "POST", "/endpoints", name=name, **told).status == 201
    assert send(server, "PUT", f"/endpoints/{name}", **told).status == 200
    assert answers(processes, name) == {1}


def test_who_says_that_only_words_change_keeps_the_version(
    server: Server, existing: str, destination: Path
) -> None:
    """TabPy's clients from 2.12 on name the folder of the last archive, which is gone by then."""
    told = {"src_path": str(destination / "gone"), "should_update_version": False}
    reply = send(server, "PUT", f"/endpoints/{existing}", description="other", **told)
    assert reply.status == 200
    info = reply.json[existing]
    assert (info["version"], info["description"]) == (1, "other")


# --- archives that can't be loaded ---


class Raising:
    """Pickled, it makes the one who loads it call a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def needs_a_missing_package() -> bytes:
    module = types.ModuleType("no_such_package")
    exec("class Model:\n    pass", vars(module))
    module.Model.__module__ = "no_such_package"
    sys.modules["no_such_package"] = module
    try:
        return pickle.dumps(module.Model())
    finally:
        del sys.modules["no_such_package"]


UNLOADABLE = {
    "missing package": (needs_a_missing_package(), ["It needs no_such_package", "doesn't have"]),
    "no pickle": (b"nonsense", ["damaged, or is no pickle"]),
    "nothing": (b"", ["damaged, or is no pickle"]),
    "cut off": (pickle.dumps({"a": list(range(1000))})[:-500], ["damaged, or is no pickle"]),
    "no query": (pickle.dumps({"a": 1}), ["type dict", "no method query"]),
    "exit": (pickle.dumps(Raising(sys.exit, 3)), ["SystemExit", "3"]),
    "end of the process": (pickle.dumps(Raising(os._exit, 3)), ["ended", "process"]),
    "crash": (pickle.dumps(Raising(os.abort)), ["ended", "SIGABRT"]),
    "error": (pickle.dumps(Raising(int, "x")), ["ValueError", "invalid literal"]),
    "other attribute": (b"cos\nno_such_function\n.", ["another version", "no_such_function"]),
}


@pytest.mark.parametrize("problem", UNLOADABLE)
def test_what_cannot_be_loaded_leaves_the_old_version_serving(
    server: Server, processes: list[Line], name: str, problem: str
) -> None:
    data, words = UNLOADABLE[problem]
    text = refusal(deploy(server, name, data))
    assert text.startswith(f"Function '{name}' can't be loaded. ")
    assert all(each in text for each in words)
    assert answers(processes, name) == {404}

    deploy(server, name, constant(1))
    assert refusal(redeploy(server, name, data)) == text
    assert answers(processes, name) == {1}
    kept = server.request("GET", f"/endpoints/{name}/versions").json
    assert [each["version"] for each in kept["versions"]] == [1]


def test_compiled_code_of_another_python_is_refused_with_its_version(
    server: Server, processes: list[Line], name: str
) -> None:
    deploy(server, name, constant(1))
    compiled = cloudpickle.dumps(CustomQueryObject(lambda: 2))
    text = refusal(redeploy(server, name, compiled, python="3.8.20"))
    assert "'<lambda>' was compiled by Python 3.8 and its text isn't known" in text
    assert ".".join(map(str, sys.version_info[:2])) in text
    assert answers(processes, name) == {1}


@pytest.mark.skipif(sys.version_info[:2] == (3, 11), reason="this Python can run it")
def test_compiled_code_of_another_python_is_refused_though_nobody_says_so(
    server: Server, processes: list[Line], name: str
) -> None:
    """What TabPy's client sent from Python 3.11."""
    archive = ROOT / "tests/compat/data/by_value_python3.11/pickle_archive"
    text = refusal(deploy(server, name, archive.read_bytes()))
    assert "was compiled by Python 3.11" in text
    assert answers(processes, name) == {404}


def test_the_text_of_a_function_may_come_from_any_python(
    server: Server, processes: list[Line], name: str
) -> None:
    deploy(server, name, constant(1), python="3.8.20")
    assert answers(processes, name) == {1}


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("no-such-package>=2", "no-such-package>=2, which this server doesn't have"),
        ("tornado<1", "tornado<1, and this server has tornado"),
        ("not a requirement", "'not a requirement' is no requirement"),
    ],
)
def test_requirements_are_checked_before_anything_is_loaded(
    server: Server, tmp_path: Path, name: str, requirement: str, problem: str
) -> None:
    loaded = tmp_path / "loaded"
    data = pickle.dumps(Raising(os.mkdir, str(loaded)))
    assert problem in refusal(deploy(server, name, data, requirements=[requirement]))
    assert not loaded.exists()
    good = ["tornado>=6", 'no-such-package; python_version < "3"']
    assert deploy(server, name, constant(1), requirements=good).status == 201


@pytest.mark.parametrize("version", ["1\n2", "1\r\nX-Injected: yes", "1\0", "é 高", "1" * 2000])
def test_a_remark_is_a_header_whatever_the_client_says_of_its_packages(
    server: Server, name: str, version: str
) -> None:
    reply = deploy(server, name, constant(1), packages={"tornado": version, "": "1"})
    assert reply.status == 201
    assert reply.headers["X-Injected"] is None
    said = "".join(each if each.isascii() and each.isprintable() else "?" for each in version)
    warning = reply.headers["X-TabPy-Warning"]
    assert warning.startswith("tornado is ")
    assert f"on the server and {said[:60]}" in warning
    assert len(warning) <= 1000


@pytest.mark.parametrize("call", ["os.mkfifo(each)", "os.symlink('/proc/self/environ', each)"])
def test_an_archive_that_swaps_itself_is_refused_and_the_next_one_is_not(
    start: Callable[..., Server], name: str, call: str
) -> None:
    """Where nothing confines what loads it: a confined worker can't change the folder."""
    server = start({"TABPY_SCRIPT_CONFINEMENT": "off", "WEB_CONCURRENCY": "1"})
    incoming = server.folder / "state" / "incoming"
    until(lambda: server.log_lines("Deployed from models/"), "nothing else is there")
    swap = Raising(
        exec,
        "import os, pathlib\n"
        f"for each in pathlib.Path({str(incoming)!r}).iterdir():\n"
        f"    each.unlink()\n"
        f"    {call}",
    )
    said = refusal(deploy(server, name, archive_of(lambda: swap)))
    assert said.startswith("The archive ")
    until(lambda: not list(incoming.iterdir()), "what was put in its place is removed")
    assert deploy(server, name, archive_of(constant(1))).status == 201


def test_loading_that_never_ends_is_stopped(start: Callable[..., Server], name: str) -> None:
    # differences 12
    server = start({"TABPY_WORKERS": "1", "TABPY_QUERY_TIMEOUT": "2"})
    deploy(server, name, constant(1))
    endless = pickle.dumps(Raising(exec, "while True: pass"))
    assert "It took too long. It was stopped after 2.0 s." in refusal(
        redeploy(server, name, endless)
    )
    assert server.query(name).json["response"] == 1
    assert redeploy(server, name, constant(2)).status == 200
    until(lambda: len(server.workers()) == 2, "nothing goes on loading it")


# --- at the same time ---


def test_deploys_of_one_name_succeed_in_turn(
    server: Server, processes: list[Line], name: str
) -> None:
    deploy(server, name, constant(0))
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        replies = list(
            threads.map(lambda number: redeploy(server, name, constant(number)), range(1, 9))
        )
    assert sorted(each.json[name]["version"] for each in replies) == list(range(2, 10))
    last = next(n for n, each in enumerate(replies, 1) if each.json[name]["version"] == 9)
    assert answers(processes, name) == {last}


def test_a_name_deployed_twice_at_once_is_created_once(
    server: Server, processes: list[Line], name: str
) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda n: deploy(server, name, constant(n)), range(4)))
    assert sorted(each.status for each in replies) == [201, 400, 400, 400]
    winner = next(n for n, each in enumerate(replies) if each.status == 201)
    assert answers(processes, name) == {winner}


def test_deploys_of_many_names_succeed(server: Server, processes: list[Line]) -> None:
    names = [next(NAMES) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(lambda each: deploy(server, each, constant(each)), names))
    assert {each.status for each in replies} == {201}
    for each in names:
        assert answers(processes, each) == {each}


def test_scripts_are_answered_while_a_function_is_loaded(server: Server, name: str) -> None:
    gate = server.notes / "loading"
    os.mkfifo(gate)
    data = pickle.dumps(Raising(exec, f"open({str(gate)!r}).read()"))
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        deploying = threads.submit(deploy, server, name, data)
        with gate.open("w"):  # opens when the other end is: it's being loaded
            assert all(server.evaluate("return 1").json == 1 for _ in range(6))
            assert not deploying.done()
        assert "no method query" in refusal(deploying.result())


def test_what_has_come_whole_is_deployed_whether_its_client_waits_or_not(
    server: Server, processes: list[Line], name: str
) -> None:
    gate = server.notes / "whole"
    os.mkfifo(gate)

    class Slow:
        def __init__(self) -> None:
            self.gate = str(gate)

        def __call__(self) -> int:
            return 1

        def __setstate__(self, state: dict[str, str]) -> None:
            import stat
            from pathlib import Path

            if stat.S_ISFIFO(Path(state["gate"]).stat().st_mode):
                Path(state["gate"]).read_text()

    body = upload({"name": name}, archive_of(Slow()))
    client = begin(server, body, len(body))
    with gate.open("w"):  # opens when the other end is: it's being loaded
        client.close()
        others = server.query("nosuch"), server.evaluate("return 1")  # time to notice that
    assert [each.status for each in others] == [404, 200]
    until(lambda: server.request("GET", f"/endpoints/{name}").status == 200, "it's deployed")
    gate.unlink()
    gate.touch()
    assert answers(processes, name) == {1}


def test_a_preflight_brings_nothing(server: Server) -> None:
    reply = server.request("OPTIONS", "/endpoints", b"no form", headers=FORM, user=None)
    assert (reply.status, reply.json) == (200, {})


def test_deploying_needs_credentials(server: Server, name: str) -> None:
    body = upload({"name": name}, archive_of(constant(1)))
    for path, method in (("/endpoints", "POST"), (f"/endpoints/{name}", "PUT")):
        reply = server.request(method, path, body, headers=FORM, user=None)
        assert reply.status == 401
    assert server.request("GET", f"/endpoints/{name}").status == 404


def test_nothing_here_was_an_accident_of_the_servers(server: Server) -> None:
    assert server.log_lines("Traceback") == server.log_lines("msg=failure") == []
    assert basic(USER, PASSWORD) not in server.log
