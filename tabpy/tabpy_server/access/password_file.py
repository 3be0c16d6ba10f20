"""The file of users and their password hashes.

It holds one user a line, ``name hash`` or ``name hash rights``: without a third word, all rights.
Blank lines and lines that start with ``#`` don't count. Names are ASCII and their case makes no
difference.
"""

import codecs
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tabpy.tabpy_server import rights
from tabpy.tabpy_server.access.password_hashes import check_name, fold, scheme_of
from tabpy.tabpy_server.rights import ALL, Rights

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

StrPath = str | os.PathLike[str]


class PasswordFileError(ValueError):
    """What is wrong with a password file, or with an edit of it, and what would be right.

    One line that names the file, and the line number if it's about a line. It never quotes a hash
    or a password, nor anything that could be one put in the wrong place.
    """


class User(NamedTuple):
    """What a line says of its user: the hash of the password, and the rights."""

    encoded: str
    rights: Rights = ALL


class _Line(NamedTuple):
    row: int  # from 0
    user: User


def parse(text: str, file: str = "password file") -> dict[str, User]:
    """Return the users in a file's text, by their names in lower case.

    Raises PasswordFileError, with `file` as the file's name, for the first line that is wrong.
    """
    return {name: line.user for name, line in _users(_lines(text), file).items()}


def read(path: StrPath) -> dict[str, User]:
    """Return the users in a file, as `parse` does. Raises PasswordFileError and OSError."""
    return parse(_text(path, str(path)), str(path))


def check_user(path: StrPath, name: str, *, exists: bool) -> None:
    """Raise what `add` (exists=False) or `update` and `delete` (exists=True) would raise."""
    check_name(name)
    try:
        users = read(path)
    except FileNotFoundError:
        if exists:
            raise
        users = {}
    _check_user(users, name, str(path), exists=exists)


def _text(path: StrPath, file: str) -> str:
    data = Path(path).read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise PasswordFileError(f"{file}, line 1: the file is UTF-16 text; save it as UTF-8.")
    # Any bytes are fine in a comment, and have to survive an edit.
    return data.decode("utf-8", "surrogateescape")


def _lines(text: str) -> list[str]:
    """Return lines with their ends. Unlike in str.splitlines, a control character ends none."""
    return re.findall(r".*\n|.+", text)


def salvage(path: StrPath) -> tuple[dict[str, User], list[str]]:
    """Return the users on the lines that are right, and what is wrong with the others.

    For the server: a line that it can't read keeps nobody else out, and who was taken out of a file
    that changes is out, whatever else is wrong.
    Raises PasswordFileError and OSError for a file that can't be read at all.
    """
    users: dict[str, _Line] = {}
    problems = []
    for row, line in enumerate(_lines(_text(path, str(path)))):
        try:
            _take(users, row, line, str(path))
        except PasswordFileError as error:
            problems.append(str(error))
    return {name: line.user for name, line in users.items()}, problems


def _users(lines: list[str], file: str) -> dict[str, _Line]:
    users: dict[str, _Line] = {}
    for row, line in enumerate(lines):
        _take(users, row, line, file)
    return users


def _take(users: dict[str, _Line], row: int, line: str, file: str) -> None:
    """Add the user on a line, if there is one. Raises PasswordFileError."""
    where = f"{file}, line {row + 1}"
    fields = line.removeprefix("\ufeff" if row == 0 else "").split()
    if not fields or fields[0].startswith("#"):
        return
    if len(fields) not in (2, 3):
        raise PasswordFileError(
            f"{where}: a user's line is a name, a hash and, for a user who may not do everything, "
            f"rights with commas and no spaces: two or three words, not {len(fields)}."
        )
    try:
        check_name(fields[0])
    except ValueError:
        raise PasswordFileError(
            f"{where}: a user name is printable ASCII without colons; this one isn't."
        ) from None
    try:
        scheme_of(fields[1])
    except ValueError:
        raise PasswordFileError(
            f"{where}: the second word is no whole argon2id or TabPy hash;"
            " remove the line and add the user with tabpy-user."
        ) from None
    try:
        may = rights.parse(fields[2]) if len(fields) == 3 else ALL
    except ValueError as error:
        raise PasswordFileError(
            f"{where}: the third word lists rights, and {error}: write one or more of "
            f"{rights.written(ALL)}, or no third word for all."
        ) from None
    name = fold(fields[0])
    if name in users:
        raise PasswordFileError(
            f"{where}: user {name} is on line {users[name].row + 1} already;"
            " remove one of the two (names are case-insensitive)."
        )
    users[name] = _Line(row, User(fields[1], may))


def _check_user(users: Mapping[str, object], name: str, file: str, *, exists: bool) -> None:
    if exists and fold(name) not in users:
        raise PasswordFileError(f"{file} has no user {name}; tabpy-user list shows those it has.")
    if not exists and fold(name) in users:
        raise PasswordFileError(f"{file} has a user {name} already; use update to change it.")


# Each keeps all other lines byte for byte, replaces the file in one step, and refuses a file with a
# line that is wrong (PasswordFileError). A second process's edit waits for the first to end.


def add(path: StrPath, name: str, encoded: str, may: Rights = ALL) -> None:
    """Append a user with rights; the file is made, for its owner's eyes only, if there is none.

    Raises PasswordFileError if there is such a user, ValueError for a name or hash that the file
    can't hold, OSError.
    """
    check_name(name)
    scheme_of(encoded)
    with _locked(path) as target:
        try:
            text = _text(target, str(path))
        except FileNotFoundError:
            text = ""
        _check_user(_users(_lines(text), str(path)), name, str(path), exists=False)
        end = "\r\n" if "\r\n" in text else "\n"
        gap = end if text and not text.endswith("\n") else ""
        _replace(target, f"{text}{gap}{fold(name)} {encoded}{_third_word(may)}{end}")


def update(path: StrPath, name: str, encoded: str | None = None, may: Rights | None = None) -> None:
    """Put another hash or other rights in a user's line. Raises as `add` does, and if there is no
    such user."""
    if encoded is not None:
        scheme_of(encoded)
    with _locked(path) as target:
        lines, line = _find(target, name, str(path))
        before, _, after = lines[line.row].rpartition(line.user.encoded)
        if may is not None:  # the blanks at the end of the line stay
            after = _third_word(may) + after[len(after.rstrip()) :]
        lines[line.row] = f"{before}{encoded or line.user.encoded}{after}"
        _replace(target, "".join(lines))


def delete(path: StrPath, name: str) -> None:
    """Remove a user's line. Raises PasswordFileError if there is no such user, OSError."""
    with _locked(path) as target:
        lines, line = _find(target, name, str(path))
        del lines[line.row]
        _replace(target, "".join(lines))


def _third_word(may: Rights) -> str:
    return "" if may == ALL else f" {rights.written(may)}"


def _find(target: Path, name: str, file: str) -> tuple[list[str], _Line]:
    lines = _lines(_text(target, file))
    users = _users(lines, file)
    _check_user(users, name, file, exists=True)
    return lines, users[fold(name)]


@contextmanager
def _locked(path: StrPath) -> Iterator[Path]:
    """Yield the real path behind `path`, with no other process editing it meanwhile."""
    target = Path(os.path.realpath(path))
    # Not a lock on the file itself, which is replaced, nor on its folder, which NFS refuses.
    lock = target.with_name(f".{target.name}.lock")
    while True:
        holder = lock.open("ab")
        try:
            _wait_for_lock(holder.fileno())
            if os.path.samestat(os.fstat(holder.fileno()), lock.stat()):
                break
        except FileNotFoundError:
            pass
        holder.close()  # its last owner removed it between our opening and locking it
    with holder:
        try:
            yield target
        finally:
            with suppress(PermissionError):  # Windows doesn't remove an open file: it stays there
                lock.unlink()


def _wait_for_lock(descriptor: int) -> None:
    """Wait for other edits to end. Either lock goes away with its process, however that ends."""
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _replace(target: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(descriptor)
        with suppress(FileNotFoundError):
            _copy_access(target, draft)
        draft.replace(target)
    except BaseException:  # Ctrl-C too; it can come just after the replacing
        draft.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":
        # The new name is on the disk only when the folder is.
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _copy_access(source: Path, copy: Path) -> None:
    old, new = source.stat(), copy.stat()
    if sys.platform != "win32" and (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        # Or the server can't read its file any more after an edit by root.
        os.chown(copy, old.st_uid, old.st_gid)
    copy.chmod(stat.S_IMODE(old.st_mode))
