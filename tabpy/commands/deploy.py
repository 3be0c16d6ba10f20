"""The command tabpy-deploy: deploys functions in Python files to a server, from a shell or CI."""

import argparse
import getpass
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import requests

from tabpy.check import packages
from tabpy.commands.deploy_jobs import Job, Outcome, UsageError, collect, files_of
from tabpy.tabpy_tools import sign_in
from tabpy.tabpy_tools.address import base_url
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.rest import ResponseError

_EPILOG = """\
A target is a file, FILE:FUNCTION, or a folder, whose files are taken one after the other. Without
a function's name, what the files mark with @endpoint is deployed, with what the mark says.

Who signs in say --user or TABPY_USERNAME, else TABPY_TOKEN or ~/.netrc. The password comes from
TABPY_PASSWORD, from ~/.netrc, from a prompt, or from a line of the standard input.

Exit code: 0 all deployed, 1 something not, 2 wrong usage and nothing deployed, 130 interrupted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy what `argv`, without the program's name, says.

    Progress goes to standard output, with --json to standard error; so does what prevents any
    deploying.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        # What the files print themselves is no part of a document.
        with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
            server, outcomes = _run(arguments)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except UsageError as error:
        parser.error(str(error))
    except (ValueError, ResponseError, requests.RequestException) as error:
        print(f"tabpy-deploy: {_one_line(error)}", file=sys.stderr)
        return 1
    failed = any(each.error for each in outcomes)
    if arguments.json:
        told = {"server": server, "ok": not failed}
        print(json.dumps({**told, "functions": [each.told() for each in outcomes]}))
    return 1 if failed else 0


def _run(arguments: argparse.Namespace) -> tuple[str | None, list[Outcome]]:
    """Return the server, None where none was to be asked, and what became of each function."""
    # What can be wrong with the command is looked at first, before a file trains its model.
    files = [files_of(each) for each in arguments.target]
    requirements = _requirements(arguments.requirements)
    client = None if arguments.dry_run else _client(arguments)
    jobs, outcomes = collect(
        files,
        name=arguments.name,
        description=arguments.description,
        is_public=arguments.public,
        requirements=requirements,
        also_unmarked=arguments.all,
    )
    for outcome in outcomes:
        print(f"{outcome.file}: {outcome.error}")
    act = Job.pack if client is None else _deployer(client, override=arguments.override)
    for number, job in enumerate(jobs, start=1):
        print(f"{number}/{len(jobs)} {job.mark.name} ({job.file.path}) ... ", end="", flush=True)
        outcome = _attempt(act, job)
        outcomes.append(outcome)
        print("\n    ".join([outcome.summary, *outcome.remarks]), flush=True)
    done = sum(not each.error for each in outcomes)
    what = "can be deployed" if client is None else f"deployed to {client.url}"
    print(f"{done} of {len(outcomes)} {what}.")
    return None if client is None else client.url, outcomes


def _attempt(act: Callable[[Job], Outcome], job: Job) -> Outcome:
    """Do it; whatever happens, the others go on."""
    with job.file.present(), warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        try:
            outcome = act(job)
        except Exception as error:  # noqa: BLE001 - pickling runs objects' own code
            outcome = Outcome(job.mark.name, str(job.file.path), error=_one_line(error))
    outcome.remarks = [str(each.message) for each in remarks]
    return outcome


def _deployer(client: Client, *, override: bool) -> Callable[[Job], Outcome]:
    def deploy(job: Job) -> Outcome:
        mark = job.mark
        deployment = client.deploy(
            mark.name,
            job.function,
            mark.description,
            mark.schema,
            override,
            mark.is_public,
            requirements=mark.requirements,
        )
        return Outcome(
            mark.name,
            str(job.file.path),
            version=deployment.version,
            calculation=deployment.calculation,
        )

    return deploy


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tabpy-deploy",
        description="Deploy functions in Python files to a server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", nargs="+", metavar="FILE[:FUNCTION]|FOLDER")
    parser.add_argument("--all", action="store_true", help="also public functions without a mark")
    parser.add_argument("--name", help="the endpoint's name, for one function")
    parser.add_argument("--description", metavar="TEXT", help="for one function")
    parser.add_argument("--public", action="store_true", help="show them in Tableau's list")
    parser.add_argument(
        "--requirements",
        metavar="FILE",
        type=Path,
        help="packages that the server has to have, as pip takes them",
    )
    parser.add_argument("--override", action="store_true", help="replace endpoints that exist")
    parser.add_argument("--url", help="the server, such as https://example.com; else TABPY_URL")
    parser.add_argument("--user", help="the user name; else TABPY_USERNAME")
    parser.add_argument(
        "--ca-certificates", metavar="FILE", help="authorities to trust, in PEM form, for https"
    )
    parser.add_argument("--dry-run", action="store_true", help="pack the functions and send none")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    return parser


def _requirements(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        wanted = packages.read(path)
    except OSError as error:
        raise UsageError(f"--requirements: {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"--requirements: {error}") from None
    if wanted.unread:
        raise UsageError(f"--requirements: no packages by name: {', '.join(wanted.unread)}")
    return tuple(str(each) for each in wanted.requirements)


def _client(arguments: argparse.Namespace) -> Client:
    """Return a client that the server knows. Raises UsageError where no server is named."""
    environ = os.environ
    given = arguments.url or environ.get("TABPY_URL")
    if not given:
        raise UsageError("which server? Give --url, or set TABPY_URL")
    try:
        url = base_url(given)
    except ValueError as error:
        raise UsageError(f"{'--url' if arguments.url else 'TABPY_URL'}: {error}") from None
    client = Client(url, ca_certificates=arguments.ca_certificates)
    name, token = arguments.user, environ.get("TABPY_TOKEN")
    if name is None and not token:
        name = environ.get("TABPY_USERNAME") or None
    if name is None and token and not environ.get("TABPY_URL"):
        client.set_token(token)
    elif name is not None:
        client.set_credentials(name, sign_in.password_of(name, url, environ) or _password(name))
    try:
        client.get_status()
    except ResponseError as error:
        if error.status_code != requests.codes.unauthorized:
            raise
        who = f"user {name!r} with this password" if name else "you"
        raise ValueError(
            f"{client.url} doesn't know {who}: give --user and TABPY_PASSWORD."
        ) from None
    return client


def _password(name: str) -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        try:
            given = getpass.getpass(f"Password of {name}: ")
        except EOFError:
            given = ""
    else:
        given = "" if sys.stdin is None else sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise ValueError(
            f"No password of {name}: set TABPY_PASSWORD, or give it as a line of standard input."
        )
    return given


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
