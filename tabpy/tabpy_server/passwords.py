"""Users and their passwords: hashes, and the file that keeps them.

The file holds one user a line, ``name hash``. Blank lines and lines that start with ``#`` don't
count. Names are ASCII and their case makes no difference. A hash has one of two forms:

* ``$argon2id$v=19$m=19456,t=2,p=1$salt$tag``, which is what this module writes;
* 128 hex digits, which is what TabPy writes: PBKDF2-HMAC-SHA512, 10,000 iterations, the salt made
  of the user's name. Still accepted; the owner should set the password anew (`is_outdated`).
"""

import base64
import binascii
import codecs
import hashlib
import hmac
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# argon2 is imported where it's used: `tabpy-user list` and a server without users need no cffi.

StrPath = str | os.PathLike[str]


class PasswordFileError(ValueError):
    """What is wrong with a password file, or with an edit of it, and what would be right.

    One line that names the file, and the line number if it's about a line. It never quotes a hash
    or a password, nor anything that could be one put in the wrong place.
    """


class Profile(NamedTuple):
    """What one argon2id hash costs (RFC 9106, section 3.1: m, t and p)."""

    memory_kib: int
    passes: int
    lanes: int


# The least memory that OWASP still recommends with two passes: a dyno has 512 MB for everything.
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
OWASP_19_MIB = Profile(memory_kib=19 * 1024, passes=2, lanes=1)

# The least that argon2 allows, for tests only.
CHEAPEST = Profile(memory_kib=8, passes=1, lanes=1)


# --- hashes ---------------------------------------------------------------------------------------

_PBKDF2 = "pbkdf2"
_PBKDF2_FORM = re.compile(r"[0-9A-Fa-f]{128}")
_ARGON2ID_FORM = re.compile(
    r"(\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=[1-9]\d{0,3},p=([1-9]\d{0,2}))"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)",
    re.ASCII,
)


def hash_password(name: str, password: str, profile: Profile = OWASP_19_MIB) -> str:
    """The argon2id hash to keep for a user, with a random salt: two calls never agree.

    Raises ValueError for a name that `check_name` refuses, an empty password, and one that isn't
    Unicode text (bytes that a terminal with another encoding passed through).
    """
    from argon2.low_level import Type, hash_secret

    check_name(name)
    if not password:
        raise ValueError("The password is empty; it has to have at least one character.")
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        raise ValueError("The password isn't valid UTF-8 text.") from None
    return hash_secret(
        secret, os.urandom(16), profile.passes, profile.memory_kib, profile.lanes, 32, Type.ID
    ).decode()


def verify(encoded: str, name: str, password: str) -> bool:
    """Whether the password is the one that was hashed for this user, in either form of hash.

    Takes tens of milliseconds and lets other threads run meanwhile: not for an event loop.
    Raises ValueError for a hash of neither form.
    """
    # A lone surrogate can't be part of any kept password, but mustn't be an error here.
    secret = password.encode("utf-8", "surrogatepass")
    if _scheme(encoded) == _PBKDF2:
        salt = f"_$salt@tabpy:{_fold(name)}$_".encode("utf-8", "surrogatepass")
        digest = hashlib.pbkdf2_hmac("sha512", secret, salt, 10_000)
        return hmac.compare_digest(digest, bytes.fromhex(encoded))

    from argon2.exceptions import VerifyMismatchError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(encoded.encode(), secret, Type.ID)
    except VerifyMismatchError:
        return False


def verify_any(users: Mapping[str, str], name: str, password: str) -> bool:
    """Whether `users`, as `parse` gives them, has this user with this password.

    Who measures the time learns neither whether a name exists nor which form its hash has: each
    call does one verification for each scheme (form and cost) that is in `users`.
    """
    own = users.get(_fold(name))
    own_scheme = None if own is None else _scheme(own)
    known = False
    for scheme in {_scheme(encoded) for encoded in users.values()}:
        if own is not None and scheme == own_scheme:
            known = verify(own, name, password)
        else:
            verify(_decoy(scheme), name, password)
    return known


def is_outdated(encoded: str) -> bool:
    """Whether the hash is TabPy's old form, quick to guess at, and should be made anew."""
    return _scheme(encoded) == _PBKDF2


def _scheme(encoded: str) -> str:
    """The form of a hash and, for argon2id, its cost: hashes of one scheme take one time."""
    if _PBKDF2_FORM.fullmatch(encoded):
        return _PBKDF2
    if form := _ARGON2ID_FORM.fullmatch(encoded):
        cost, memory, lanes, salt, tag = form.groups()
        # RFC 9106 asks for 8 KiB a lane and 8 bytes of salt. All tools make tags of 32 bytes: with
        # any other length the line was cut off in copying, and would only ever say "wrong".
        if int(memory) >= 8 * int(lanes) and _bytes_in(salt) >= 8 and _bytes_in(tag) == 32:
            return cost
    raise ValueError("The hash is neither argon2id nor TabPy's PBKDF2.")


def _decoy(scheme: str) -> str:
    """A hash that takes as long to verify as others of the scheme."""
    return "0" * 128 if scheme == _PBKDF2 else f"{scheme}${'A' * 22}${'A' * 43}"


def _bytes_in(unpadded: str) -> int:
    """How many bytes the base64 text holds; 0 if argon2 wouldn't decode it."""
    try:
        data = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4))
    except binascii.Error:
        return 0
    return len(data) if base64.b64encode(data).decode().rstrip("=") == unpadded else 0


# --- the file -------------------------------------------------------------------------------------


class _Line(NamedTuple):
    row: int  # from 0
    encoded: str


def parse(text: str, file: str = "password file") -> dict[str, str]:
    """The users in a file's text: names in lower case, and their hashes.

    Raises PasswordFileError, with `file` as the file's name, for the first line that is wrong.
    """
    return {name: line.encoded for name, line in _users(_lines(text), file).items()}


def read(path: StrPath) -> dict[str, str]:
    """The users in a file, as `parse` gives them. Raises PasswordFileError and OSError."""
    return parse(_text(path, str(path)), str(path))


def check_name(name: str) -> None:
    """Raises ValueError unless the file, and HTTP's Basic scheme, can carry the name."""
    if not re.fullmatch(r"(?!#)[!-9;-~]+", name):
        raise ValueError(
            "A user name is printable ASCII without spaces or colons,"
            f" and doesn't start with #; {name!a} isn't."
        )


def check_user(path: StrPath, name: str, *, exists: bool) -> None:
    """Raises what `add` (exists=False) or `update` and `delete` (exists=True) would raise."""
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
    """Lines with their ends. Unlike str.splitlines, a control character doesn't end one."""
    return re.findall(r".*\n|.+", text)


def _users(lines: list[str], file: str) -> dict[str, _Line]:
    users: dict[str, _Line] = {}
    for row, line in enumerate(lines):
        where = f"{file}, line {row + 1}"
        fields = line.removeprefix("\ufeff" if row == 0 else "").split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 2:
            raise PasswordFileError(
                f"{where}: a user's line is a name, one space and a hash: two words,"
                f" not {len(fields)}."
            )
        try:
            check_name(fields[0])
        except ValueError:
            raise PasswordFileError(
                f"{where}: a user name is printable ASCII without colons; this one isn't."
            ) from None
        try:
            _scheme(fields[1])
        except ValueError:
            raise PasswordFileError(
                f"{where}: the second word is no whole argon2id or TabPy hash;"
                " remove the line and add the user with tabpy-user."
            ) from None
        name = _fold(fields[0])
        if name in users:
            raise PasswordFileError(
                f"{where}: user {name} is on line {users[name].row + 1} already;"
                " remove one of the two (names are case-insensitive)."
            )
        users[name] = _Line(row, fields[1])
    return users


def _check_user(users: Mapping[str, object], name: str, file: str, *, exists: bool) -> None:
    if exists and _fold(name) not in users:
        raise PasswordFileError(f"{file} has no user {name}; tabpy-user list shows those it has.")
    if not exists and _fold(name) in users:
        raise PasswordFileError(f"{file} has a user {name} already; use update to change it.")


def _fold(name: str) -> str:
    # Not all of Unicode: the Kelvin sign's lower case is an ASCII k.
    return name.lower() if name.isascii() else name


# --- edits ----------------------------------------------------------------------------------------
# Each keeps all other lines byte for byte, replaces the file in one step, and refuses a file with a
# line that is wrong (PasswordFileError). A second process's edit waits for the first to end.


def add(path: StrPath, name: str, encoded: str) -> None:
    """Append a user; the file is made, for its owner's eyes only, if there is none.

    Raises PasswordFileError if there is such a user, ValueError for a name or hash that the file
    can't hold, OSError.
    """
    check_name(name)
    _scheme(encoded)
    with _locked(path) as target:
        try:
            text = _text(target, str(path))
        except FileNotFoundError:
            text = ""
        _check_user(_users(_lines(text), str(path)), name, str(path), exists=False)
        end = "\r\n" if "\r\n" in text else "\n"
        gap = end if text and not text.endswith("\n") else ""
        _replace(target, f"{text}{gap}{_fold(name)} {encoded}{end}")


def update(path: StrPath, name: str, encoded: str) -> None:
    """Put another hash in a user's line. Raises as `add` does, and if there is no such user."""
    _scheme(encoded)
    with _locked(path) as target:
        lines, line = _find(target, name, str(path))
        before, _, after = lines[line.row].rpartition(line.encoded)
        lines[line.row] = f"{before}{encoded}{after}"
        _replace(target, "".join(lines))


def delete(path: StrPath, name: str) -> None:
    """Remove a user's line. Raises PasswordFileError if there is no such user, OSError."""
    with _locked(path) as target:
        lines, line = _find(target, name, str(path))
        del lines[line.row]
        _replace(target, "".join(lines))


def _find(target: Path, name: str, file: str) -> tuple[list[str], _Line]:
    lines = _lines(_text(target, file))
    users = _users(lines, file)
    _check_user(users, name, file, exists=True)
    return lines, users[_fold(name)]


@contextmanager
def _locked(path: StrPath) -> Iterator[Path]:
    """The real path behind `path`, with no other process editing it meanwhile."""
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
    """Either lock goes away with its process, however that ends."""
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
