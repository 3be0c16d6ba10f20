"""Programs that deploy a function of their own, as in TabPy: differences 13, 14."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tabpy import __version__
from tabpy.commands import deploy_models, serve, user
from tabpy.models import PREDEPLOYED
from tabpy.models.utils import setup_utils
from tests.running import PASSWORD, USER, Server, clean_environment

ROOT = Path(__file__).parents[2]
PROGRAM = """
from tabpy.models.utils import setup_utils

FACTOR = 3

def thrice(values):
    return [FACTOR * each for each in values]

if __name__ == "__main__":
    setup_utils.deploy_model("Thrice", thrice, "Three times as much")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that keeps what these tests deploy."""
    running = Server(tmp_path_factory.mktemp("server")).wait_until_ready()
    yield running
    running.kill()


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Path:
    file = tmp_path / "tabpy.conf"
    file.write_text(f"[TabPy]\nTABPY_PORT = {server.port}\nTABPY_PWD_FILE = ./users.txt\n")
    return file


def run(*arguments: object, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )


def test_a_program_deploys_its_function(server: Server, config: Path, tmp_path: Path) -> None:
    # differences 13
    program = tmp_path / "thrice.py"
    program.write_text(PROGRAM)
    made = run(program, config, said=f"{USER}\n{PASSWORD}\n")
    assert (made.returncode, made.stdout) == (0, "Successfully deployed Thrice\n"), made.stderr
    assert server.query("Thrice", [1, 2]).json["response"] == [3, 6]
    made = run(program, config, USER, PASSWORD)
    assert made.returncode == 0
    assert server.request("GET", "/endpoints/Thrice").json["version"] == 2


def test_a_program_with_a_wrong_password_fails(config: Path, tmp_path: Path) -> None:
    # differences 13
    program = tmp_path / "thrice.py"
    program.write_text(PROGRAM)
    made = run(program, config, USER, "wrong")
    assert made.returncode == 1
    assert f"knows no user '{USER}' with this password" in made.stderr


def test_each_predeployed_function_deploys_itself(server: Server, config: Path) -> None:
    # differences 13
    made = run(ROOT / "tabpy/models/scripts/ANOVA.py", config, USER, PASSWORD)
    assert (made.returncode, made.stdout) == (0, "Successfully deployed anova\n"), made.stderr
    assert server.request("GET", "/endpoints/anova").json["is_public"] is True


def test_all_predeployed_functions_deploy_by_their_file(config: Path) -> None:
    # section 2: `python tabpy/models/deploy_models.py CONF`
    made = run(ROOT / "tabpy/models/deploy_models.py", config, said=f"{USER}\n{PASSWORD}\n")
    assert made.returncode == 0, made.stdout
    assert "4 of 4 deployed" in made.stdout


@pytest.mark.parametrize("name", ["PCA", "ANOVA", "SentimentAnalysis", "tTest"])
def test_each_file_names_a_function_that_is_there(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # differences 13
    asked: list[str] = []
    monkeypatch.setattr(setup_utils, "deploy_predeployed", asked.append)
    file = ROOT / "tabpy/models/scripts" / f"{name}.py"
    exec(compile(file.read_text(encoding="utf-8"), file, "exec"), {"__name__": "__main__"})
    assert set(asked) <= {each.name for each in PREDEPLOYED}
    assert len(asked) == 1


def test_the_server_is_where_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # differences 13
    for name in [each for each in os.environ if each.startswith("TABPY_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "tabpy.conf"
    file.write_text("[TabPy]\nTABPY_PORT = 9100\n")
    assert setup_utils.parse_config(str(file)) == (9100, False, "http")
    file.write_text("[TabPy]\nTABPY_PWD_FILE = x\nTABPY_TRANSFER_PROTOCOL = https\n")
    assert setup_utils.parse_config(str(file)) == (9004, True, "https")
    assert Path(setup_utils.get_default_config_file_path()).is_file()


def test_names_of_tabpys_commands_are_there() -> None:
    # differences 14
    assert import_module("tabpy.tabpy").main is serve.main
    assert import_module("tabpy.tabpy").__version__ == __version__
    assert import_module("tabpy.utils.tabpy_user").main is user.main
    assert import_module("tabpy.models.deploy_models").main is deploy_models.main


@pytest.mark.parametrize("module", ["tabpy.tabpy", "tabpy.utils.tabpy_user"])
def test_tabpys_commands_run_as_modules(module: str) -> None:
    # differences 14
    made = run("-m", module, "--help")
    assert made.returncode == 0
    assert made.stdout.startswith("usage: tabpy")
