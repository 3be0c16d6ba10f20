"""Deploying: one request that carries metadata and archive, from wherever the code lives."""

import io
import json
import pickle
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tabpy.tabpy_tools import upload
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.schema import generate_schema, schema_of
from tests.client.fake_server import Answer, FakeServer, Request, fake_server


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        fake.answers["POST /endpoints"] = Answer({"f": {}}, 201)
        yield fake


@pytest.fixture
def client(server: FakeServer) -> Client:
    return Client(server.url)


@pytest.fixture
def local_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], ModuleType]]:
    """Writes a module into a folder on the path and imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name: str, source: str) -> ModuleType:
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return import_module(name.removesuffix(".__init__"))

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def parts(request: Request) -> list[Message]:
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    payload = message_from_bytes(head + request.body).get_payload()
    assert isinstance(payload, list)
    return [part for part in payload if isinstance(part, Message)]


def sent_metadata(request: Request) -> dict[str, Any]:
    part = parts(request)[0].get_payload(decode=True)
    assert isinstance(part, bytes)
    sent: dict[str, Any] = json.loads(part)
    return sent


def sent_archive(request: Request) -> bytes:
    body = parts(request)[1].get_payload(decode=True)
    assert isinstance(body, bytes)
    return body


def answer_elsewhere(request: Request, *args: object) -> Any:
    """What the archive answers in a process that has none of this one's modules."""
    code = (
        "import json, pickle, sys; object = pickle.load(sys.stdin.buffer); "
        "print(json.dumps(object.query(*json.loads(sys.argv[1]))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(args)],
        input=sent_archive(request),
        capture_output=True,
        check=True,
        cwd="/",
    )
    return json.loads(run.stdout)


def add(x: float, y: float) -> float:
    """Adds two numbers."""
    return x + y


def test_a_new_endpoint_is_one_post_of_two_parts(server: FakeServer, client: Client) -> None:
    schema = generate_schema({"x": 1, "y": 2}, 3)
    client.deploy("my add", add, "adds", schema, is_public=True, requirements=["numpy>=2"])
    assert [(each.method, each.path) for each in server.requests] == [
        ("GET", "/endpoints/my%20add"),
        ("POST", "/endpoints"),
    ]
    assert server.last.headers["Content-Length"] == str(len(server.last.body))
    described, archive = parts(server.last)
    assert described["Content-Disposition"] == 'form-data; name="metadata"'
    assert described["Content-Type"] == "application/json"
    assert archive["Content-Disposition"] == 'form-data; name="archive"; filename="pickle_archive"'
    assert archive["Content-Type"] == "application/octet-stream"
    assert sent_metadata(server.last) == {
        "name": "my add",
        "type": "model",
        "description": "adds",
        "docstring": "Adds two numbers.",
        "methods": [{"method": "query"}],
        "dependencies": [],
        "target": None,
        "schema": schema,
        "is_public": True,
        "pure": False,
        "requirements": ["numpy>=2"],
        "python": platform.python_version(),
        "packages": {},
    }
    assert answer_elsewhere(server.last, 1, 2) == 3


def test_a_function_is_pure_if_that_is_said(server: FakeServer, client: Client) -> None:
    client.deploy("my add", add, pure=True)
    assert sent_metadata(server.last)["pure"] is True
    client.deploy("my add", add, override=True)
    assert sent_metadata(server.last)["pure"] is False


def test_an_existing_endpoint_is_refused_before_anything_is_uploaded(
    server: FakeServer, client: Client
) -> None:
    server.answers["GET /endpoints/add"] = Answer({"version": 1})
    with pytest.raises(RuntimeError, match="endpoint 'add' already: deploy with override=True"):
        client.deploy("add", add)
    assert len(server.requests) == 1


def test_override_makes_a_new_version(server: FakeServer, client: Client) -> None:
    server.answers["GET /endpoints/add"] = Answer({"version": 1})
    server.answers["PUT /endpoints/add"] = Answer({"add": {}})
    client.deploy("add", add, override=True)
    assert (server.last.method, server.last.path) == ("PUT", "/endpoints/add")
    assert answer_elsewhere(server.last, 1, 2) == 3


def test_override_of_nothing_makes_the_first_version(server: FakeServer, client: Client) -> None:
    client.deploy("add", add, override=True)
    assert server.last.method == "POST"


def test_wrong_credentials_show_before_anything_is_uploaded(
    server: FakeServer, client: Client
) -> None:
    server.answers["GET /endpoints/add"] = Answer({"message": "no", "info": "no"}, 401)
    with pytest.raises(RuntimeError, match="set_credentials"):
        client.deploy("add", add)
    assert len(server.requests) == 1


def test_the_servers_refusal_is_told(server: FakeServer, client: Client) -> None:
    refusal = {"message": "Can't load add", "info": "ModuleNotFoundError: No module named 'x'"}
    server.answers["POST /endpoints"] = Answer(refusal, 422)
    with pytest.raises(RuntimeError, match=r"422 Can't load add \(ModuleNotFoundError: .*'x'\)"):
        client.deploy("add", add)


@pytest.mark.parametrize("way", ["POST /endpoints", "PUT /endpoints/add"])
def test_a_server_of_tabpy_2_is_called_so(server: FakeServer, client: Client, way: str) -> None:
    # differences 37
    told = {"message": "Failed to decode input body", "info": "'utf-8' codec can't decode byte"}
    server.answers[way] = Answer(told, 400)
    if way.startswith("PUT"):
        server.answers["GET /endpoints/add"] = Answer({"version": 1})
    with pytest.raises(RuntimeError, match=r"is a server of TabPy 2, .* upgrade the server first"):
        client.deploy("add", add, override=True)


def test_the_servers_remark_is_shown_to_the_deployer(server: FakeServer, client: Client) -> None:
    remark = {"X-TabPy-Warning": "numpy is 2.3 there and 2.4 here"}
    server.answers["POST /endpoints"] = Answer({"add": {}}, 201, remark)
    with pytest.warns(UserWarning, match="numpy is 2.3 there") as said:
        client.deploy("add", add)
    assert said[0].filename == __file__


def test_deploying_works_the_same_with_tabpys_arguments_for_remote_servers(
    server: FakeServer,
) -> None:
    client = Client(server.url, remote_server=True, localhost_endpoint="http://localhost:9004")
    client.deploy("add", add)
    assert server.last.path == "/endpoints"


@pytest.mark.parametrize(
    ("given", "stored"), [("", ""), ("mine", "mine"), (None, "Adds two numbers.")]
)
def test_no_description_at_all_means_the_docstring(
    server: FakeServer, client: Client, given: str | None, stored: str
) -> None:
    client.deploy("add", add, given)
    assert sent_metadata(server.last)["description"] == stored


@pytest.mark.parametrize("requirements", ["numpy", [1], None, {"numpy": "2"}])
def test_requirements_that_are_no_list_of_strings(
    server: FakeServer, client: Client, requirements: list[str]
) -> None:
    with pytest.raises(TypeError, match=r"such as \['scikit-learn>=1.5'\]"):
        client.deploy("add", add, requirements=requirements)
    assert server.requests == []


def test_a_query_object_goes_as_it_is_with_its_own_words(
    server: FakeServer, client: Client
) -> None:
    class Doubled(CustomQueryObject):
        def query(self, *args: Any, **kwargs: Any) -> Any:
            return 2 * self.custom_query(*args, **kwargs)

    schema = generate_schema({"x": 1, "y": 2}, 3)
    own = Doubled(add, "its own", schema)
    client.deploy("add", own)
    sent = sent_metadata(server.last)
    assert (sent["description"], sent["schema"]) == ("its own", schema)
    assert sent["docstring"] == "Adds two numbers."
    assert answer_elsewhere(server.last, 1, 2) == 6
    client.deploy("add", own, "given", {"input": {}})
    sent = sent_metadata(server.last)
    assert (sent["description"], sent["schema"]) == ("given", {"input": {}})
    assert (own.description, own.schema) == ("its own", schema)


def test_type_hints_make_the_schema_where_nobody_does(server: FakeServer, client: Client) -> None:
    client.deploy("add", add)
    assert sent_metadata(server.last)["schema"]["input"]["properties"] == {
        "x": {"type": "number"},
        "y": {"type": "number"},
    }


@pytest.mark.parametrize("stored", [None, "of type hints", "of somebody"])
def test_a_schema_that_somebody_wrote_outlives_a_new_version_without_one(
    server: FakeServer, client: Client, stored: str | None
) -> None:
    schemas = {"of type hints": schema_of(lambda old: old), "of somebody": generate_schema(1, 2)}
    info = {"version": 1, "schema": schemas.get(stored or "")}
    server.answers["GET /endpoints/add"] = Answer(info)
    server.answers["PUT /endpoints/add"] = Answer({"add": {"version": 2}})
    client.deploy("add", add, override=True)
    sent = sent_metadata(server.last)["schema"]
    assert sent == (None if stored == "of somebody" else schema_of(add))


def test_what_it_returns_says_how_to_call_it(server: FakeServer, client: Client) -> None:
    remark = {"X-TabPy-Warning": "numpy is 2.3 there"}
    server.answers["POST /endpoints"] = Answer({"add": {"version": 3}}, 201, remark)
    with pytest.warns(UserWarning, match="numpy is 2.3 there"):
        deployed = client.deploy("add", add)
    assert (deployed.name, deployed.version, deployed.server) == ("add", 3, server.url)
    assert deployed.remarks == ("numpy is 2.3 there",)
    assert deployed.calculation == 'MODEL_EXTENSION_REAL("add", "x,y", SUM([x]), SUM([y]))'
    assert "tabpy.query('add', _arg1, _arg2)" in deployed.script


def test_a_server_that_tells_no_version_is_no_failure(server: FakeServer, client: Client) -> None:
    server.answers["POST /endpoints"] = Answer(None, 201)
    assert client.deploy("add", add).version is None


def test_what_is_no_function_is_refused(server: FakeServer, client: Client) -> None:
    with pytest.raises(TypeError, match="needs a function; 'add' got int"):
        client.deploy("add", 5)  # type: ignore[arg-type]
    assert server.requests == []


def test_what_cannot_be_pickled_is_refused_by_name(server: FakeServer, client: Client) -> None:
    lock = threading.Lock()

    def guarded() -> bool:
        return lock.locked()

    with pytest.raises(TypeError, match=r"guarded can't be deployed.*pickle '_thread.lock'"):
        client.deploy("guarded", guarded)
    assert {each.method for each in server.requests} == {"GET"}


def test_a_closure_over_a_fitted_model(server: FakeServer, client: Client) -> None:
    model = LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0])

    def predict(values: list[float]) -> list[float]:
        return [round(float(each), 6) for each in model.predict(np.array(values).reshape(-1, 1))]

    client.deploy("predict", predict)
    assert answer_elsewhere(server.last, [3.0]) == [6.0]
    versions = sent_metadata(server.last)["packages"]
    for package in ("numpy", "scikit-learn"):
        assert versions[package] == metadata.version(package)


def test_packages_imported_inside_the_function_count_too(
    server: FakeServer, client: Client
) -> None:
    def late() -> list[str]:
        def later() -> str:
            import scipy.stats

            return str(scipy.stats)

        return [later()]

    client.deploy("late", late)
    assert sent_metadata(server.last)["packages"] == {"scipy": metadata.version("scipy")}


def test_a_function_of_a_local_module_brings_what_it_needs_of_it(
    server: FakeServer, client: Client, local_module: Callable[[str, str], ModuleType]
) -> None:
    local_module("prices", "RATE = 3\nclass Price:\n    def of(self, x): return x * RATE\n")
    shop = local_module("shop", "from prices import Price\ndef cost(x): return Price().of(x)\n")
    client.deploy("cost", shop.cost)
    assert answer_elsewhere(server.last, 2) == 6
    assert cloudpickle.list_registry_pickle_by_value() == set()


def test_nothing_says_where_on_this_machine_the_code_is(
    server: FakeServer,
    client: Client,
    local_module: Callable[[str, str], ModuleType],
    tmp_path: Path,
) -> None:
    local_module("shed.__init__", "")
    tool = local_module(
        "shed.tool", "class Saw:\n  def cut(self): return 1\ndef cut(): return Saw().cut()\n"
    )
    client.deploy("cut", tool.cut)
    assert answer_elsewhere(server.last) == 1
    assert str(tmp_path).encode() not in sent_archive(server.last)


def test_a_whole_local_package_goes_along_though_its_modules_refer_to_each_other(
    server: FakeServer, client: Client, local_module: Callable[[str, str], ModuleType]
) -> None:
    local_module("farm.__init__", "")
    local_module("farm.cow", "import farm\nLEGS = 4\ndef legs(): return farm.barn.COWS * LEGS\n")
    barn = local_module("farm.barn", "from farm import cow\nimport farm\nCOWS = 2\n")

    def count(extra: int) -> int:
        return int(barn.cow.legs()) + extra

    client.deploy("count", count)
    assert answer_elsewhere(server.last, 1) == 9


def test_a_local_module_imported_inside_the_function_is_warned_of(
    client: Client, local_module: Callable[[str, str], ModuleType]
) -> None:
    local_module("helpers_of_mine", "X = 1\n")

    def late() -> int:
        import helpers_of_mine  # type: ignore[import-not-found]

        return int(helpers_of_mine.X)

    with pytest.warns(UserWarning, match="late imports 'helpers_of_mine' when it runs") as said:
        client.deploy("late", late)
    assert said[0].filename == __file__


def test_a_function_of_an_installed_package_goes_by_its_name(
    server: FakeServer, client: Client
) -> None:
    client.deploy("largest", np.max)
    archive = sent_archive(server.last)
    assert len(archive) < 300
    assert pickle.loads(archive).custom_query is np.max


def made_by_exec() -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec("def made(): return 1", names)
    function: Callable[..., Any] = names["made"]
    return function


def test_whose_file_has_changed_is_told_to_import_it_anew(
    server: FakeServer, client: Client, local_module: Callable[[str, str], ModuleType]
) -> None:
    module = local_module("changed_of_ours", "def f(x):\n    return x\n")
    Path(str(module.__file__)).write_text("def f(x):\n    return x + 1\n")
    server.answers["GET /packages"] = Answer({"python": "3.2.1", "packages": {}})
    with pytest.warns(UserWarning, match="makes f, so only") as said:
        client.deploy("f", module.f)
    (only,) = (str(each.message) for each in said)
    assert only.endswith(
        "this one runs 3.2. What stands in changed_of_ours.py now is something else: if you have "
        "changed it since it was imported, import it anew, and deploy again."
    )


def test_a_function_without_text_is_warned_of_where_the_server_has_another_python(
    server: FakeServer, client: Client
) -> None:
    server.answers["GET /packages"] = Answer({"python": "3.2.1", "packages": {}})
    with pytest.warns(
        UserWarning, match=r"that makes made, so only .*, and this one runs 3\.2\."
    ) as said:
        client.deploy("made", made_by_exec())
    assert said[0].filename == __file__
    assert server.last.path == "/endpoints"


def test_it_is_not_where_the_server_has_the_same_or_does_not_tell(
    server: FakeServer, client: Client
) -> None:
    client.deploy("made", made_by_exec())
    server.answers["GET /packages"] = Answer({"python": platform.python_version()})
    client.deploy("made", made_by_exec())
    assert [each.path for each in server.requests].count("/packages") == 2


def test_a_function_with_text_asks_nothing_more(server: FakeServer, client: Client) -> None:
    client.deploy("add", add)
    assert [each.path for each in server.requests] == ["/endpoints/add", "/endpoints"]


@pytest.mark.parametrize(
    ("folder", "record"),
    [("goods-1.egg-info", "SOURCES.txt"), ("goods-1.dist-info", "RECORD")],
    ids=["a source tree", "pip install --target"],
)
def test_a_package_counts_as_installed_where_pip_put_it(
    server: FakeServer,
    client: Client,
    local_module: Callable[[str, str], ModuleType],
    folder: str,
    record: str,
) -> None:
    goods = local_module("goods", "def f(): return 1\n")
    place = Path(str(goods.__file__)).parent / folder
    place.mkdir()
    name = "PKG-INFO" if folder.endswith("egg-info") else "METADATA"
    (place / name).write_text("Metadata-Version: 2.1\nName: goods\nVersion: 1\n")
    (place / "top_level.txt").write_text("goods\n")
    (place / record).write_text("goods.py,,\n")
    client.deploy("f", goods.f)
    assert (b"def f(): return 1" in sent_archive(server.last)) is (record != "RECORD")
    assert sent_metadata(server.last)["packages"] == {"goods": "1"}


@pytest.mark.parametrize("watched", [True, False])
def test_a_large_upload_shows_its_progress_to_who_watches(
    server: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return watched

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    content: Any = np.zeros(6_000_000, "uint8")
    client.deploy("large", lambda: int(content.sum()))
    assert len(server.last.body) > 6_000_000
    assert ("Uploading" in screen.getvalue()) is watched
    assert ("100%" in screen.getvalue()) is watched


def test_a_small_upload_shows_none(
    server: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(upload, "_is_watched", lambda: True)
    client.deploy("add", add)
    assert screen.getvalue() == ""


def test_a_remark_shows_at_the_line_of_whoever_deploys(server: FakeServer, client: Client) -> None:
    remark = {"X-TabPy-Warning": "numpy is 2.3 there"}
    server.answers["POST /endpoints"] = Answer({"add": {}}, 201, remark)
    with pytest.warns(UserWarning, match="numpy is 2.3 there") as said:
        client.deploy_model("add", LinearRegression().fit([[1.0]], [1.0]), ["a"])
    assert said[0].filename == __file__
