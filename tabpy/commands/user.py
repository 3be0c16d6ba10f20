"""The command tabpy-user: adds, updates, deletes and lists the users of a password file."""

import argparse
import getpass
import os
import secrets
import sys
from collections.abc import Sequence

from tabpy.commands import server_packages
from tabpy.tabpy_server import rights
from tabpy.tabpy_server.access import password_file, password_hashes
from tabpy.tabpy_server.rights import Rights

# Without the look-alikes 0 O 1 l I; 20 of these 57 characters are 116 bits.
_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GENERATED_LENGTH = 20

# What PowerShell may put before what it pipes: as UTF-8, and as Windows' own encoding reads it.
BYTE_ORDER_MARKS = ("\ufeff", "\u00ef\u00bb\u00bf")

_HOW_TO_GIVE_IT = """\
Without -p the password is asked for, twice and unseen; an empty answer has one generated.
In a script, one line of standard input is the password; without any, one is generated.
Only a generated password is printed: alone, on standard output.
With --may and without -p, update changes the rights alone.
To add a user who is there already, with the same password, changes nothing and is no failure."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` is without the program's name.

    Exit codes: 0 done, 1 failed with the file as it was, 2 wrong usage, 130 interrupted. Messages
    go to standard error, results (the list, a generated password) to standard output.
    """
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    if hindrance := server_packages.hindrance():
        _say(f"tabpy-user: {hindrance}")
        return 1
    try:
        if arguments.command == "list":
            _list(arguments.file)
        elif arguments.command == "delete":
            password_file.delete(arguments.file, arguments.name)
            _say(f"Deleted user {arguments.name} from {arguments.file}.")
        elif arguments.command == "update" and arguments.may and arguments.password is None:
            password_file.update(arguments.file, arguments.name, may=arguments.may)
            _say(f"Updated the rights of {arguments.name} in {arguments.file}; the password stays.")
        else:
            _set_password(arguments)
    except KeyboardInterrupt:
        _say("\nInterrupted.")
        return 130
    except OSError as error:
        _say(f"tabpy-user: {arguments.file}: {error.strerror or error}.")
        return 1
    except ValueError as error:
        _say(f"tabpy-user: {error}")
        return 1
    return 0


def _set_password(arguments: argparse.Namespace) -> None:
    adding = arguments.command == "add"
    password = arguments.password
    at_terminal = sys.stdin is not None and sys.stdin.isatty()
    if password is None and not at_terminal:
        password = _piped()
    if adding and password is not None and _is_there(arguments, password):
        _say(f"User {arguments.name} is in {arguments.file} already, with this password.")
        return
    # Before the question, not after two answers.
    password_file.check_user(arguments.file, arguments.name, exists=not adding)
    if password is None and at_terminal:
        password = _ask(arguments.name)
    generated = password is None
    if password is None:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED_LENGTH))
    encoded = password_hashes.hash_password(arguments.name, password)
    if adding:
        password_file.add(arguments.file, arguments.name, encoded, arguments.may or rights.ALL)
        _say(f"Added user {arguments.name} to {arguments.file}.")
    else:
        password_file.update(arguments.file, arguments.name, encoded, arguments.may)
        _say(f"Updated user {arguments.name} in {arguments.file}.")
    if generated:
        _say("The generated password, which is kept nowhere else:")
        _show(password)


def _is_there(arguments: argparse.Namespace, password: str) -> bool:
    """Say whether adding the user would change nothing.

    A container's start script adds its user each time it starts.
    """
    try:
        user = password_file.read(arguments.file).get(password_hashes.fold(arguments.name))
    except FileNotFoundError:
        return False
    return (
        user is not None
        and arguments.may in (None, user.rights)
        and password_hashes.verify(user.encoded, arguments.name, password)
    )


def _piped() -> str | None:
    """Return the line of standard input that is the password; None to have one generated."""
    if sys.stdin is None:  # closed by the caller
        return None
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        # The error's own text holds a byte of the password.
        raise ValueError("The password isn't valid text in the terminal's encoding.") from None
    if not line:
        return None
    _say("Taking the password from standard input.")
    for mark in BYTE_ORDER_MARKS:
        line = line.removeprefix(mark)
    return line.removesuffix("\n").removesuffix("\r")


def _ask(name: str) -> str | None:
    """Return the password typed, twice; None to have one generated."""
    try:
        password = getpass.getpass(f"Password for {name} (empty to have one generated): ")
        if not password:
            return None
        again = getpass.getpass("The same again: ")
    except EOFError:
        raise ValueError("No password given; nothing has changed.") from None
    except UnicodeDecodeError:
        # The error's own text holds a byte of the password.
        raise ValueError("The password isn't valid text in the terminal's encoding.") from None
    if password != again:
        raise ValueError("The two passwords differ; nothing has changed.")
    return password


def _list(file: str) -> None:
    users = password_file.read(file)
    for name, user in users.items():
        may = rights.written(user.rights)
        if password_hashes.is_outdated(user.encoded):
            _show(f"{name}  pbkdf2  {may}  (an old hash: run tabpy-user update -u {name})")
        else:
            _show(f"{name}  argon2id  {may}")
    if not users:
        _say(f"{file} has no users.")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument(
        "-f",
        "--pwdfile",
        dest="file",
        metavar="FILE",
        default=os.environ.get("TABPY_PWD_FILE") or "tabpypwd.txt",
        help="password file (default: TABPY_PWD_FILE, else tabpypwd.txt in this folder)",
    )
    name = argparse.ArgumentParser(add_help=False)
    name.add_argument(
        "-u",
        "--user",
        "--username",
        dest="name",
        metavar="NAME",
        required=True,
        help="user name, of any case",
    )
    password = argparse.ArgumentParser(add_help=False)
    password.add_argument(
        "-p",
        "--password",
        metavar="PWD",
        help="password (the shell's history and the process list show it: better left out)",
    )
    may = argparse.ArgumentParser(add_help=False)
    may.add_argument(
        "--may",
        metavar="RIGHTS",
        type=_rights,
        help=f"what the user may do: one or more of {rights.written(rights.ALL)}"
        " (default: add gives all, update changes none)",
    )

    parser = argparse.ArgumentParser(
        prog="tabpy-user", description="Manage the users of a TabPy password file."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, summary, parents in (
        ("add", "add a user", [name, password, may, file]),
        ("update", "give a user another password, or other rights", [name, password, may, file]),
        ("delete", "remove a user", [name, file]),
        ("list", "show the users, the kind of their hashes and their rights", [file]),
    ):
        commands.add_parser(
            command,
            help=summary,
            description=summary.capitalize() + ".",
            epilog=_HOW_TO_GIVE_IT if password in parents else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=parents,
        )
    arguments, rest = parser.parse_known_args(_joined(argv))
    if rest:
        # argparse would print them, and they may well be the end of a password.
        parser.error(f"{len(rest)} argument(s) too many; quote a password that has spaces")
    return arguments


def _rights(text: str) -> Rights:
    try:
        return rights.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; write one or more of {rights.written(rights.ALL)}"
        ) from None


def _joined(argv: Sequence[str]) -> list[str]:
    """Turn `-p X` into `--password=X`: to argparse, an X that starts with a dash is an option."""
    joined: list[str] = []
    rest = iter(argv)
    for argument in rest:
        value = next(rest, None) if argument in ("-p", "--password") else None
        joined.append(argument if value is None else f"--password={value}")
    return joined


def _show(result: str) -> None:
    try:
        print(result, flush=True)
    except OSError as error:
        raise ValueError(f"standard output: {error.strerror}.") from None


def _say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
