"""The command tabpy-deploy: deploys functions in Python files to a server, from a shell or CI."""

import argparse
import getpass
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tabpy.check import packages
from tabpy.commands.console import write_anything
from tabpy.commands.deploy_jobs import Job, Outcome, UsageError, collect, files_of
from tabpy.commands.one_line import one_line
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


@dataclass
class _Run:
    """What became of each function so far, and what ended it all, if something did.

    `server` is None where none was asked.
    """

    server: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None and not any(each.error for each in self.outcomes)

    def told(self) -> str:
        """Return it as a JSON document; `error` is there only where something ended it all."""
        what = {"server": self.server, "ok": self.ok}
        if self.error is not None:
            what["error"] = self.error
        return json.dumps({**what, "functions": [each.told() for each in self.outcomes]})


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy what `argv`, without the program's name, says.

    Progress goes to standard output, with --json to standard error. What prevents any deploying
    goes to standard error, with --json also into the document.
    """
    write_anything()
    parser = _parser()
    arguments = parser.parse_args(argv)
    run = _Run()
    try:
        # What the files print themselves is no part of a document.
        with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
            _deploy(arguments, run)
    except KeyboardInterrupt:
        run.error, code = "Interrupted.", 130
        print(f"\n{run.error}", file=sys.stderr)
    except UsageError as error:
        run.error, code = str(error), 2
    except (ValueError, ResponseError, requests.RequestException) as error:
        run.error, code = one_line(error), 1
        print(f"tabpy-deploy: {run.error}", file=sys.stderr)
    else:
        code = 0 if run.ok else 1
    if arguments.json:
        print(run.told(), flush=True)
    if code == 2:
        parser.error(str(run.error))
    return code


def _deploy(arguments: argparse.Namespace, run: _Run) -> None:
    """Deploy what the command says, and note in `run` how it goes."""
    # What can be wrong with the command is looked at first, before a file trains its model.
    files = [files_of(each) for each in arguments.target]
    requirements = _requirements(arguments.requirements)
    client = None
    if not arguments.dry_run:
        client = Client(_address(arguments), ca_certificates=arguments.ca_certificates)
        run.server = client.url
        _sign_in(client, arguments.user)
    jobs, broken = collect(
        files,
        name=arguments.name,
        description=arguments.description,
        is_public=arguments.public,
        pure=arguments.pure,
        requirements=requirements,
        also_unmarked=arguments.all,
    )
    run.outcomes += broken
    for outcome in broken:
        print(f"{outcome.file}: {outcome.error}")
    act = Job.pack if client is None else _deployer(client, override=arguments.override)
    for number, job in enumerate(jobs, start=1):
        print(f"{number}/{len(jobs)} {job.mark.name} ({job.file.path}) ... ", end="", flush=True)
        outcome = _attempt(act, job)
        run.outcomes.append(outcome)
        print("\n    ".join([outcome.summary, *outcome.remarks]), flush=True)
    done = sum(not each.error for each in run.outcomes)
    what = "can be deployed" if client is None else f"deployed to {client.url}"
    print(f"{done} of {len(run.outcomes)} {what}.")


def _attempt(act: Callable[[Job], Outcome], job: Job) -> Outcome:
    """Do it; whatever happens, the others go on."""
    with job.file.present(), warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        try:
            outcome = act(job)
        except Exception as error:  # noqa: BLE001 - pickling runs objects' own code
            outcome = Outcome(job.mark.name, str(job.file.path), error=one_line(error))
    outcome.remarks = [str(each.message) for each in remarks]
    return outcome


def _deployer(client: Client, *, override: bool) -> Callable[[Job], Outcome]:
    from tabpy.tabpy_tools.deploying import NameTakenError

    def deploy(job: Job) -> Outcome:
        mark = job.mark
        try:
            deployment = client.deploy(
                mark.name,
                job.function,
                mark.description,
                mark.schema,
                override,
                mark.is_public,
                requirements=mark.requirements,
                pure=mark.pure,
            )
        except NameTakenError:
            raise ValueError(
                f"There is an endpoint {mark.name!r} already: give --override to replace it."
            ) from None
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
        "--pure", action="store_true", help="their results follow from their arguments alone"
    )
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


def _address(arguments: argparse.Namespace) -> str:
    """Return the server's address. Raises UsageError where none is named."""
    given = arguments.url or os.environ.get("TABPY_URL")
    if not given:
        raise UsageError("which server? Give --url, or set TABPY_URL")
    try:
        return base_url(given)
    except ValueError as error:
        raise UsageError(f"{'--url' if arguments.url else 'TABPY_URL'}: {error}") from None


def _sign_in(client: Client, name: str | None) -> None:
    """Have the server know the client. Raises ValueError where it doesn't."""
    environ = os.environ
    token = environ.get("TABPY_TOKEN")
    if name is None and not token:
        name = environ.get("TABPY_USERNAME") or None
    if name is None and token and not environ.get("TABPY_URL"):
        client.set_token(token)
    elif name is not None:
        password = sign_in.password_of(name, client.url, environ) or _password(name)
        client.set_credentials(name, password)
    try:
        client.get_status()
    except ResponseError as error:
        if error.status_code != requests.codes.unauthorized:
            raise
        raise ValueError(
            f"{client.url} refuses user {name!r} with this password: one of the two is wrong."
            if name
            else f"{client.url} doesn't know you: give --user and TABPY_PASSWORD."
        ) from None


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


if __name__ == "__main__":
    sys.exit(main())
