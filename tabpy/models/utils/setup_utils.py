"""Deploying a function from a program of its own, `python my_model.py tabpy.conf`, as TabPy has it.

from tabpy.models.utils import setup_utils

if __name__ == "__main__":
    setup_utils.deploy_model("Add", add, "Adds two columns")
"""
# ruff: noqa: N803, T201 - the names are TabPy's, and it prints

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tabpy.commands import deploy_models
from tabpy.models import PREDEPLOYED
from tabpy.tabpy_server import config_file
from tabpy.tabpy_server.package_files import DEFAULT_CONFIG
from tabpy.tabpy_tools.client import Client


def get_default_config_file_path() -> str:
    """Return the configuration file that the server reads when none is named."""
    return str(DEFAULT_CONFIG)


def parse_config(config_file_path: str) -> tuple[int, bool, str]:
    """Return the server's port, whether it asks for a password, and "http" or "https".

    The environment wins over the file, as it does for the server. Raises ValueError for a file or
    a setting that can't be right.
    """
    path = Path(config_file_path)
    url = urlsplit(deploy_models.server_url(path, os.environ))
    said = {**config_file.read(path, os.environ), **os.environ}
    auth_on = any(said.get(key) for key in ("TABPY_PWD_FILE", "TABPY_USERNAME"))
    return url.port or 9004, auth_on, url.scheme


def get_creds() -> list[str]:
    """Return user name and password: asked for at a terminal, else two lines of standard input.

    Raises ValueError if there are none.
    """
    return [*deploy_models.ask_credentials()]


def deploy_model(funcName: str, func: Callable[..., Any], funcDescription: str) -> None:
    """Deploy a function to the server on this machine, or a new version of it.

    The program's arguments may be the server's configuration file, and a user name and password
    behind it; credentials that the server wants and nobody gave are asked for.
    Raises ValueError, and what the client raises.
    """
    _client().deploy(funcName, func, funcDescription, override=True)
    print(f"Successfully deployed {funcName}")


def deploy_predeployed(name: str) -> None:
    """Do the same with a function of `tabpy.models`."""
    deploy_models.deploy(_client(), next(each for each in PREDEPLOYED if each.name == name))
    print(f"Successfully deployed {name}")


def _client() -> Client:
    config, *given = sys.argv[1:4] or [get_default_config_file_path()]
    url = deploy_models.server_url(Path(config), os.environ)
    if len(given) == 2:
        user, password = given
        return deploy_models.signed_in(url, credentials=lambda: (user, password))
    return deploy_models.signed_in(url)
