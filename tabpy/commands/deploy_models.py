"""The command tabpy-deploy-models: puts the predeployed functions on a server."""

import argparse
import configparser
import getpass
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cloudpickle
import requests

import tabpy.models.scripts
from tabpy.commands.console import write_anything
from tabpy.commands.one_line import one_line
from tabpy.models import PREDEPLOYED, Predeployed
from tabpy.tabpy_server import config_file
from tabpy.tabpy_server.package_files import DEFAULT_CONFIG
from tabpy.tabpy_tools import sign_in
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.connection import Connection
from tabpy.tabpy_tools.rest import ResponseError


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy the functions of `tabpy.models`; `argv` is without the program's name.

    Exit codes: 0 all deployed, 1 at least one not, 2 wrong usage, 130 interrupted. Progress goes
    to standard output, what prevents any deploying to standard error.
    """
    write_anything()
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    try:
        url = arguments.url or (not arguments.config and os.environ.get("TABPY_URL"))
        url = url or server_url(arguments.config, os.environ)
        client = signed_in(url, arguments.ca_certificates, lambda: _credentials(url, os.environ))
        return _deploy_all(client, url.rstrip("/"))
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except (ValueError, ResponseError, requests.RequestException) as error:
        print(f"tabpy-deploy-models: {one_line(error)}", file=sys.stderr)
        return 1


def server_url(config: Path | None, environ: Mapping[str, str]) -> str:
    """Return this machine's server's address, from `environ`, else the file, else the defaults.

    `config` is the server's own configuration file; None stands for the one it uses by itself.
    Raises ValueError, in one line, for a file or a setting that can't be right.
    """
    path = config or DEFAULT_CONFIG
    try:
        in_file = config_file.read(path, environ)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}.") from None
    except configparser.NoSectionError as error:
        raise ValueError(f"{path} has no section [{error.section}].") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} isn't a configuration file: {one_line(error)}") from None
    port, protocol = (
        environ.get(key) or in_file.get(key) or default
        for key, default in (("TABPY_PORT", "9004"), ("TABPY_TRANSFER_PROTOCOL", "http"))
    )
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"TABPY_PORT must be a number from 1 to 65535, not {port!r}.")
    if protocol.lower() not in ("http", "https"):
        raise ValueError(f"TABPY_TRANSFER_PROTOCOL must be http or https, not {protocol!r}.")
    return f"{protocol.lower()}://localhost:{port}"


def signed_in(
    url: str,
    ca_certificates: str | None = None,
    credentials: Callable[[], tuple[str, str]] | None = None,
) -> Client:
    """Return a client that may enter. `credentials` gives user name and password if the server
    wants them; without it they are asked for.

    Raises ValueError for wrong ones, ResponseError and requests' errors.
    """
    client = Client(url, ca_certificates=ca_certificates)
    probe = Connection(url, ca_certificates, verify=True)
    if _wants_credentials(probe):
        user, password = (credentials or ask_credentials)()
        probe.set_credentials(user, password)
        client.set_credentials(user, password)
        if _wants_credentials(probe):
            raise ValueError(f"{probe.url} knows no user {user!r} with this password.")
    return client


def deploy(client: Client, each: Predeployed) -> None:
    """Deploy one of them, or a new version of it. Raises what the client raises."""
    # The function itself travels, not the name of a module that the server may have otherwise.
    cloudpickle.register_pickle_by_value(tabpy.models.scripts)
    try:
        client.deploy(
            each.name,
            each.function,
            each.description,
            override=True,
            is_public=True,
            requirements=each.requirements,
        )
    finally:
        cloudpickle.unregister_pickle_by_value(tabpy.models.scripts)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tabpy-deploy-models",
        description=f"Deploys {', '.join(model.name for model in PREDEPLOYED)} to a server.",
        epilog="The server is that of --url, of the configuration file, of TABPY_URL, or the one "
        "of this machine. Credentials that it wants are TABPY_USERNAME and TABPY_PASSWORD, or that "
        "user's in ~/.netrc; else they are asked for, or read as two lines of standard input: user "
        "name and password.",
    )
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        help="the server's configuration file, which tells its port and protocol on this machine",
    )
    parser.add_argument(
        "--ca-certificates", metavar="FILE", help="authorities to trust, in PEM form, for https"
    )
    parser.add_argument("--url", help="deploy to this server, such as https://example.com")
    return parser.parse_args(argv)


def _wants_credentials(probe: Connection) -> bool:
    try:
        probe.call("GET", "info")
    except ResponseError as error:
        if error.status_code == requests.codes.unauthorized:
            return True
        raise
    return False


def ask_credentials() -> tuple[str, str]:
    """Ask at the terminal, or read two lines of standard input. Raises ValueError for none."""
    user = password = ""  # not known yet # nosec B105
    try:
        if sys.stdin is None:  # closed by the caller
            pass
        elif sys.stdin.isatty():
            user, password = input("User name: ").strip(), getpass.getpass("Password: ")
        else:
            user, password = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    except EOFError:
        print()
    except UnicodeDecodeError:
        # The error's own text holds a byte of the password.
        raise ValueError("User name and password on standard input have to be UTF-8.") from None
    if not user or not password:
        raise ValueError(
            "The server wants a user name and a password: type them when asked, or give them as "
            "two lines of standard input."
        )
    return user, password


def _credentials(url: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return those that the environment has for this server, or ask. Raises ValueError for none."""
    user = environ.get("TABPY_USERNAME")
    password = sign_in.password_of(user, url, environ) if user else None
    return (user, password) if user and password else ask_credentials()


def _deploy_all(client: Client, url: str) -> int:
    failed = []
    for number, each in enumerate(PREDEPLOYED, start=1):
        name = each.name
        print(f"{number}/{len(PREDEPLOYED)} {name} ... ", end="", flush=True)
        try:
            with warnings.catch_warnings(record=True) as remarks:
                warnings.simplefilter("always")
                deploy(client, each)
            version = client.get_endpoints()[name]["version"]
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            print(f"failed: {one_line(error)}")
            failed.append(name)
        else:
            print(f"deployed, version {version}")
            for remark in remarks:
                print(f"    {remark.message}")
    print(f"{len(PREDEPLOYED) - len(failed)} of {len(PREDEPLOYED)} deployed to {url}.")
    if failed:
        print(f"Not deployed: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
