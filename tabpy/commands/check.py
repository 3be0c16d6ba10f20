"""`tabpy-check`: does what Tableau does with a server, and says what doesn't work and why."""

import argparse
import getpass
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tabpy.check import packages
from tabpy.check.report import Result, dialogue, document, failed, lines, printable
from tabpy.check.session import Session
from tabpy.check.steps import check
from tabpy.check.target import Target, TargetError

_EPILOG = """\
The password comes from the environment variable TABPY_PASSWORD, from a prompt, or from a line
of the standard input. Exit code: 0 nothing failed, 1 something failed, 2 wrong usage.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.user is not None and (not options.user or ":" in options.user):
        parser.error("-u: a user name isn't empty and has no colon")
    try:
        target = Target.parse(options.url)
        wanted = packages.read(options.requirements) if options.requirements else None
    except TargetError as error:
        parser.error(str(error))
    except (OSError, ValueError) as error:
        parser.error(f"--requirements: {error}")
    password = "" if options.user is None else _password(parser, options)
    try:
        session = Session(target, options.user, password, options.timeout, options.ca)
    except OSError as error:
        parser.error(
            f"--ca: {options.ca} has no certificates in PEM form ({error.strerror or error})"
        )
    try:
        return _run(session, wanted, as_json=options.json)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) went away; the interpreter's own flush at exit must not fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tabpy-check",
        description="Check step by step whether Tableau can use a server, as Tableau would.",
        epilog=_EPILOG,
    )
    parser.add_argument("url", metavar="URL", help="[http[s]://]host[:port]; https if not given")
    parser.add_argument("-u", "--user", "--username", help="the user name typed into Tableau")
    parser.add_argument(
        "-p", "--password", help="others on this computer may see it: TABPY_PASSWORD is better"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="PEM file of a company's authority, trusted beside the others"
    )
    parser.add_argument(
        "--requirements", metavar="FILE", type=Path, help="compare the server's packages with it"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=30.0,
        help="longest wait for one reply (default 30, as Heroku's router and TabPy have it)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(text)
    return value


def _password(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    given: str | None = options.password
    if given is None:
        given = os.environ.get("TABPY_PASSWORD")
    if given is None and sys.stdin is not None and sys.stdin.isatty():
        try:
            given = getpass.getpass(f"Password of {options.user}: ")
        except (EOFError, KeyboardInterrupt):
            parser.error("no password given")
    elif given is None and sys.stdin is not None:
        given = sys.stdin.readline().rstrip("\r\n") or None
    if given is None:
        parser.error("no password: set TABPY_PASSWORD, or give it as a line of the standard input")
    return given


def _run(session: Session, wanted: packages.Wanted | None, *, as_json: bool) -> int:
    results: list[Result] = []
    colour = sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for result in check(session, wanted):
        results.append(result)
        if not as_json:
            _print(lines(result, colour=colour))
    user = None if session.unprotected else session.user
    if as_json:
        _print(json.dumps(document(session.target, user, results), indent=2))
    else:
        after = "once the failures above are repaired" if failed(results) else "as they are"
        _print(f"\nThe values to type into Tableau, {after}:")
        for label, value in dialogue(session.target, user).items():
            _print(f"  {label:<13}{printable(value)}")
    return 1 if failed(results) else 0


def _print(text: str) -> None:
    if sys.stdout is None:  # closed by the caller, who wants the exit code only
        return
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


if __name__ == "__main__":
    sys.exit(main())
