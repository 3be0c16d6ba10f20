"""Writes the state folder beside this file. To be run with TabPy's own server and client, not ours:

    pip install tabpy==2.16.0 && python make_state.py

Two starts of the server, so that what only a restart does to the file is in it. The order counts:
each deploy writes the docstrings of all functions again, and doubles their non-ASCII characters
twice; after the name with a leading space TabPy can't read its file any more; after the "%%" it
refuses all deploys.
"""

# mypy: ignore-errors
# (TabPy's own modules aren't where ours is.)

import operator
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from tabpy.tabpy_server.app.app_parameters import SettingsParameters
from tabpy.tabpy_server.management.state import TabPyState
from tabpy.tabpy_server.management.util import _get_state_from_file

from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.schema import generate_schema


def mangled(text: str) -> str:
    """Le café."""
    return text


def several_lines(width: float, height: float) -> float:
    """Fläche eines Rechtecks → Zahl.

    width: Breite in Ångström
        # nicht in Zoll
    height: 高さ
    """
    return width * height


def plain(value: float) -> float:
    """The value, as it is."""
    return value


@contextmanager
def server(state: Path) -> Iterator[Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = state.parent / "tabpy.conf"
    config.write_text(
        f"[TabPy]\nTABPY_PORT = {port}\nTABPY_STATE_PATH = {state}\n"
        f"TABPY_QUERY_OBJECT_PATH = {state}/query_objects\n"
    )
    tabpy = str(Path(sys.executable).with_name("tabpy"))
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [tabpy, "--config", str(config), "--disable-auth-warning"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(100):
            try:
                requests.get(url + "info", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield Client(url)
    finally:
        process.kill()
        process.wait()


def post(client: Client, name: str, function: Callable[..., Any], description: str) -> int:
    """A deploy that doesn't wait until the function is loaded: these never are. The status."""
    endpoint = client._gen_endpoint(name, function, description)
    client._upload_endpoint(endpoint)
    fields = ("name", "version", "description", "type", "methods", "docstring", "src_path")
    url = client._endpoint + "endpoints"
    return requests.post(url, json={key: endpoint[key] for key in fields}, timeout=30).status_code


def make(state: Path) -> None:
    with server(state) as client:
        schema = generate_schema(
            input={"a": 1, "b": 2.5},
            output=3.5,
            input_description={"a": "it's one", "b": 'a "second"'},
            output_description="größer",
        )
        client.deploy("Adds", operator.add, 'Adds "ä" and b', schema=schema, is_public=True)
        for description in ("one", "two", "three"):
            client.deploy("versioned", operator.mul, description, override=True)
        client.deploy("lost", plain, "Its folder is gone")
        client.deploy("cut-off", plain, "Its archive ends too soon")
        assert post(client, "refused", plain, "100 % refused") == 400
        client.deploy("mangled", mangled, "Le café")

    # The server itself refuses every alias, though its state can hold one.
    state_file = _get_state_from_file(str(state))
    settings = {SettingsParameters.StateFilePath: str(state)}
    TabPyState(settings, state_file).add_endpoint(
        "plus", "Another name", endpoint_type="alias", target="Adds"
    )

    with server(state) as client:
        client.deploy("several lines", several_lines, "Breite mal Höhe")
        assert post(client, " leading", plain, "Ends TabPy's next start") == 201
        assert post(client, "percent", plain, "100 %% sure") == 201

    shutil.rmtree(state / "query_objects" / "lost")
    os.truncate(state / "query_objects" / "cut-off" / "1" / "pickle_archive", 100)


here = Path(__file__).parent
# An archive tells the file of its code, and this file's folder is nobody's business.
__file__ = "make_state.py"
for function in (mangled, several_lines, plain):
    function.__code__ = function.__code__.replace(co_filename=__file__)

with tempfile.TemporaryDirectory() as folder:
    state = Path(folder, "state")
    state.mkdir()
    make(state)
    shutil.copyfile(state / "state.ini", here / "state.ini")
    shutil.rmtree(here / "query_objects", ignore_errors=True)
    shutil.copytree(state / "query_objects", here / "query_objects")
