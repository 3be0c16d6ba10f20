"""TabPy's own published client deploys to this server unchanged, and so does our command for what
TabPy calls predeployed functions."""

import ast
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.running import PASSWORD, USER, Server, clean_environment

Start = Callable[..., Server]
TABPY, BEFORE_2_12 = "2.16.0", "2.9.0"
NEEDS = ("genson==1.4.0", "jsonschema==4.26.0")  # its schemas do, and our environment has neither

PROGRAM = '''
import json
import sys

import requests
import tabpy
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.schema import generate_schema

given = json.load(sys.stdin)
client = Client(given["url"], **given["options"])
client.set_credentials(given["user"], given["password"])


def total(a, b):
    """a + b"""
    import math
    return math.fsum([a, b])


def product(a, b):
    """a * b"""
    return a * b


def described():
    return {
        name: {key: info[key] for key in ("description", "docstring", "version", "is_public")}
        for name, info in client.get_endpoints().items()
    }


found = {"package": tabpy.__file__}
schema = generate_schema(input={"a": 1, "b": 2}, output=3)
found["deployed"] = client.deploy("my function", total, "adds", schema=schema, is_public=True)
found["endpoints"] = described()
found["schema"] = client.get_endpoints()["my function"]["schema"]
found["by position"] = client.query("my function", 3, 4)["response"]
found["by name"] = client.query("my function", a=30, b=4)["response"]
try:
    found["deployed again"] = client.deploy("my function", product, "multiplies")
except RuntimeError as error:
    found["deployed again"] = str(error)
found["after refusal"] = client.query("my function", 3, 4)["response"]
found["overridden"] = client.deploy("my function", product, "multiplies", override=True)
found["after override"] = client.query("my function", 3, 4)["response"]
client.update_endpoint_info("my function", description="new words", is_public=True)
found["updated"] = described()
as_user = given["user"].encode(), given["password"].encode()
stored = requests.get(given["url"] + "endpoints/my function", auth=as_user).json()
found["stored schema"] = stored["schema"]
found["after update"] = client.query("my function", 3, 4)["response"]
found["status"] = client.get_status()
client.remove("my function")
found["left"] = [described(), client.get_status()]
print()
print(json.dumps(found))
'''

OVERRIDING = """
import json
import sys

from tabpy.tabpy_tools.client import Client

given = json.load(sys.stdin)
client = Client(given["url"])
client.set_credentials(given["user"], given["password"])
client.deploy("my function", lambda a: a + 1, "adds")
client.deploy("my function", lambda a: a * 10, "multiplies", override=True)
endpoint = client.get_endpoints()["my function"]
answer = client.query("my function", 5)
print()
print(json.dumps([endpoint.version, endpoint.description, answer["version"], answer["response"]]))
"""


@pytest.fixture(scope="module")
def published(request: pytest.FixtureRequest) -> Path:
    return package(request, TABPY)


def package(request: pytest.FixtureRequest, version: str) -> Path:
    """A folder with TabPy's package as it is on PyPI, kept between runs."""
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("published") / f"tabpy-{version}-{sys.implementation.cache_tag}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        into = Path(partial, "packages")
        for packages in (("--no-deps", f"tabpy=={version}"), NEEDS):
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(into)]
            done = subprocess.run([*pip, *packages], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"pip can't get TabPy's client: {done.stderr.strip()[-300:]}")
        into.rename(folder)
    return folder


def run(program: str, given: Mapping[str, Any], package: Path, folder: Path) -> Any:
    """What a program prints in its last line, as JSON."""
    file = folder / "program.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, file],
        input=json.dumps(given),
        env={**clean_environment(), "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("way", ["shared disk", "remote server"])
def test_tabpys_client_works_unchanged(
    start: Start, published: Path, tmp_path: Path, way: str
) -> None:
    server = start({"TABPY_MODELS_PATH": str(tmp_path)})
    url = f"http://127.0.0.1:{server.port}/"
    remote = {"remote_server": True, "localhost_endpoint": url}
    given = {
        "url": url.replace("127.0.0.1", "localhost"),
        "user": USER,
        "password": PASSWORD,
        "options": remote if way == "remote server" else {},
    }
    found = run(PROGRAM, given, published, tmp_path)
    assert Path(found["package"]).is_relative_to(published)

    deployed = "200 - Success\n" if way == "remote server" else None
    assert (found["deployed"], found["overridden"]) == (deployed, deployed)
    first = {"description": "adds", "docstring": "a + b", "version": 1, "is_public": True}
    assert found["endpoints"] == {"my function": first}
    assert ast.literal_eval(found["schema"])["sample"] == {"a": 1, "b": 2}  # a repr, to this client
    assert found["stored schema"] == ast.literal_eval(found["schema"])
    assert (found["by position"], found["by name"]) == (7, 34)
    assert "override" in found["deployed again"]
    assert found["after refusal"] == 7
    assert (found["after override"], found["after update"]) == (12, 12)
    updated = {"description": "new words", "docstring": "a * b", "version": 2, "is_public": True}
    assert found["updated"] == {"my function": updated}
    loaded = {"version": 2, "type": "model", "status": "LoadSuccessful", "last_error": None}
    assert found["status"] == {"my function": loaded}
    assert found["left"] == [{}, {}]
    staged = server.folder / "state" / "uploads"
    assert [file for file in staged.rglob("*") if file.is_file()] == []
    assert PASSWORD not in server.log  # though this client puts it into a script


def test_a_client_before_2_12_replaces_a_function(
    start: Start, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """It sends no word that this is a new version, only where its archive lies."""
    server = start({"TABPY_MODELS_PATH": str(tmp_path)})
    given = {"url": f"http://localhost:{server.port}/", "user": USER, "password": PASSWORD}
    found = run(OVERRIDING, given, package(request, BEFORE_2_12), tmp_path)
    assert found == [2, "multiplies", 2, 50]


def test_the_predeployed_functions_answer(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("vaderSentiment", reason="pip install vaderSentiment")
    pytest.importorskip("textblob", reason="pip install textblob")
    server = start({"TABPY_MODELS_PATH": str(tmp_path)})
    for version in (1, 2):
        done = subprocess.run(
            [Path(sys.executable).with_name("tabpy-deploy-models")],
            input=f"{USER}\n{PASSWORD}\n",
            env={**clean_environment(), "TABPY_PORT": str(server.port)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"4 of 4 deployed to http://localhost:{server.port}.\n" in done.stdout
        assert done.stdout.count(f"deployed, version {version}\n") == 4

    def answer(name: str, *arguments: Any) -> Any:
        reply = server.query(name, *arguments)
        assert reply.status == 200, reply.body
        return reply.json["response"]

    heights, weights, ages = [1.0, 2.0, 3.0, 4.0, 7.0], [2.0, 1.0, 4.0, 3.0, 9.0], [5.0, 4.0, 6.0]
    assert answer("ttest", heights, weights) == pytest.approx(
        stats.ttest_ind(heights, weights, equal_var=False).pvalue
    )
    assert answer("anova", heights, weights, ages) == pytest.approx(
        stats.f_oneway(heights, weights, ages).pvalue
    )
    # Two columns that say the same have one component, of twice the variance of either.
    component = np.array(answer("PCA", 1, heights, heights))
    assert np.abs(component) == pytest.approx(math.sqrt(2) * np.abs(stats.zscore(heights)))
    texts = ["I love this.", "", "I hate this.", None]
    for library in ("nltk", "textblob"):
        love, nothing, hate, missing = answer("Sentiment Analysis", texts, library)
        assert -1 <= hate < -0.5 < 0 == nothing < 0.49 < love <= 1
        assert missing is None
    assert answer("Sentiment Analysis", texts[:1]) == [0.6369]  # VADER's lexicon and formula
