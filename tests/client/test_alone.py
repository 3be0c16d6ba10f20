"""The client where a notebook has it alone: nothing of the server's packages, and an old Python."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests.client.fake_server import Answer, fake_server
from tests.light import LIGHT
from tests.running import PASSWORD, USER, Server, clean_environment
from tests.test_dependencies import DISTRIBUTIONS, EXTRAS, PROJECT, ROOT, name_of, normal

MODULES = sorted(
    each if each.partition(".")[0] == "tabpy" else f"tabpy.tabpy_server.{each}" for each in LIGHT
)
OLDEST = str(PROJECT["requires-python"].removeprefix(">="))

IMPORT_ALL = """
import json, sys
given = json.load(sys.stdin)

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in given["blocked"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
for module in given["modules"]:
    __import__(module)
"""

DEPLOY = """
import json, sys
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.schema import generate_schema

client = Client(json.load(sys.stdin)["url"])
factor = 3

def times(values):
    import cloudpickle, tqdm
    return [factor * value for value in values]

client.deploy("Times", times, schema=generate_schema([1], [3]))
print(client.query("Times", [1, 2])["response"])
print(client.get_endpoints()["Times"].creation_time)
"""


def test_it_is_imported_without_the_servers_packages() -> None:
    wanted = {name_of(each) for each in EXTRAS["server"]}
    blocked = [name for name, by in DISTRIBUTIONS.items() if wanted & set(map(normal, by))]
    assert {"tornado", "gunicorn", "sqlalchemy", "argon2"} <= set(blocked)
    given = {"blocked": blocked, "modules": MODULES}
    done = run([sys.executable, "-c", IMPORT_ALL], given, path=[ROOT])
    assert (done.returncode, done.stderr) == (0, "")


# On the oldest Python that a notebook may have


@pytest.fixture(scope="module")
def oldest() -> str:
    """The command of that Python."""
    by_pyenv = Path.home().glob(f".pyenv/versions/{OLDEST}.*/bin/python3")
    for python in (shutil.which(f"python{OLDEST}") or "", *map(str, by_pyenv)):
        if not python:
            continue
        say = [python, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        done = subprocess.run(say, capture_output=True, text=True, check=False)
        if done.stdout.strip() == OLDEST:  # pyenv's shims exist for Pythons that aren't chosen
            return python
    pytest.skip(f"there is no Python {OLDEST}")


@pytest.fixture(scope="module")
def packages(oldest: str, request: pytest.FixtureRequest) -> Path:
    """A folder with what the client needs there, kept between runs."""
    cache = request.config.cache
    assert cache is not None
    wanted = sha256("\n".join(PROJECT["dependencies"]).encode()).hexdigest()[:16]
    folder = cache.mkdir("client") / f"python-{OLDEST}-{wanted}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        into = Path(partial, "packages")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(into)]
        pip += ["--python-version", OLDEST, "--only-binary", ":all:"]
        done = subprocess.run(
            [*pip, *PROJECT["dependencies"]], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"pip can't get the client's packages: {done.stderr.strip()[-300:]}")
        into.rename(folder)
    return folder


def test_on_the_oldest_python_everything_is_imported(oldest: str, packages: Path) -> None:
    given = {"blocked": [], "modules": MODULES}
    done = run([oldest, "-S", "-c", IMPORT_ALL], given, path=[ROOT, packages])
    assert (done.returncode, done.stderr) == (0, "")


def test_on_the_oldest_python_it_deploys_and_queries(oldest: str, packages: Path) -> None:
    with fake_server() as server:
        server.answers["POST /endpoints"] = Answer({"Times": {}}, 201)
        server.answers["POST /query/Times"] = Answer({"response": [3, 6]})
        server.answers["GET /endpoints"] = Answer({"Times": {"type": "model", "creation_time": 0}})
        done = run([oldest, "-S", "-c", DEPLOY], {"url": server.url}, path=[ROOT, packages])
    assert (done.stdout, done.stderr) == ("[3, 6]\n1970-01-01 00:00:00\n", "")
    (sent,) = (
        each for each in server.requests if each.method == "POST" and b"archive" in each.body
    )
    assert f'"python":"{OLDEST}.'.encode() in sent.body
    assert b'"packages":{"tqdm":"' in sent.body


def test_on_the_oldest_python_the_check_works(oldest: str, packages: Path, server: Server) -> None:
    command = [
        oldest,
        "-S",
        "-m",
        "tabpy.commands.check",
        f"http://127.0.0.1:{server.port}",
        "-u",
        USER,
    ]
    done = run(command, path=[ROOT, packages], TABPY_PASSWORD=PASSWORD)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_on_the_oldest_python_the_servers_command_names_the_lowest(oldest: str) -> None:
    done = run([oldest, "-S", "-m", "tabpy"], path=[ROOT])
    assert done.returncode == 2
    assert done.stderr.startswith("tabpy: The server needs Python 3.11 or later; this is 3.10")


def run(
    command: list[str], given: object = None, *, path: list[Path], **variables: str
) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, path))
    return subprocess.run(
        command,
        input=json.dumps(given),
        env={**clean_environment(), "PYTHONPATH": paths, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
