"""Password hashes: making them, and checking a password against them.

A hash has one of two forms:

* ``$argon2id$v=19$m=19456,t=2,p=1$salt$tag``, which is what this module writes;
* 128 hex digits, which is what TabPy writes: PBKDF2-HMAC-SHA512, 10,000 iterations, the salt made
  of the user's name. Still accepted; the owner should set the password anew (`is_outdated`).
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from typing import NamedTuple

# argon2 is imported where it's used: `tabpy-user list` and a server without users need no cffi.


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

# Not `argon2.extract_parameters`: it takes what verifying then fails at, such as `m=+8`, a tag with
# a `!` in it or `t` before `m`, and importing it would load cffi for reading a file.
_PBKDF2 = "pbkdf2"
_PBKDF2_FORM = re.compile(r"[0-9A-Fa-f]{128}")
_ARGON2ID_FORM = re.compile(
    r"(\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=[1-9]\d{0,3},p=([1-9]\d{0,2}))"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)",
    re.ASCII,
)


def hash_password(name: str, password: str, profile: Profile = OWASP_19_MIB) -> str:
    """Return the argon2id hash to keep for a user, with a random salt: two calls never agree.

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
    """Tell whether the password is the one that was hashed for this user, in either form of hash.

    Takes tens of milliseconds and lets other threads run meanwhile: not for an event loop.
    Raises ValueError for a hash of neither form.
    """
    # A lone surrogate can't be part of any kept password, but mustn't be an error here.
    secret = password.encode("utf-8", "surrogatepass")
    if scheme_of(encoded) == _PBKDF2:
        salt = f"_$salt@tabpy:{fold(name)}$_".encode("utf-8", "surrogatepass")
        digest = hashlib.pbkdf2_hmac("sha512", secret, salt, 10_000)
        return hmac.compare_digest(digest, bytes.fromhex(encoded))

    from argon2.exceptions import VerifyMismatchError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(encoded.encode(), secret, Type.ID)
    except VerifyMismatchError:
        return False


def verify_any(users: Mapping[str, str], name: str, password: str) -> bool:
    """Tell whether `users`, as `parse` gives them, has this user with this password.

    Who measures the time learns neither whether a name exists nor which form its hash has: each
    call does one verification for each scheme (form and cost) that is in `users`.
    """
    own = users.get(fold(name))
    own_scheme = None if own is None else scheme_of(own)
    known = False
    for scheme in {scheme_of(encoded) for encoded in users.values()}:
        if own is not None and scheme == own_scheme:
            known = verify(own, name, password)
        else:
            verify(_decoy(scheme), name, password)
    return known


def is_outdated(encoded: str) -> bool:
    """Tell whether the hash is TabPy's old form, quick to guess at, and should be made anew."""
    return scheme_of(encoded) == _PBKDF2


def scheme_of(encoded: str) -> str:
    """Return the form of a hash and, for argon2id, its cost: hashes of one scheme take one time.

    Raises ValueError for a text that is neither, or not whole.
    """
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
    """Return a hash that takes as long to verify as others of the scheme."""
    return "0" * 128 if scheme == _PBKDF2 else f"{scheme}${'A' * 22}${'A' * 43}"


def _bytes_in(unpadded: str) -> int:
    """Return how many bytes the base64 text holds; 0 if argon2 wouldn't decode it."""
    try:
        data = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4))
    except binascii.Error:
        return 0
    return len(data) if base64.b64encode(data).decode().rstrip("=") == unpadded else 0


def check_name(name: str) -> None:
    """Raise ValueError unless the file, and HTTP's Basic scheme, can carry the name."""
    if not re.fullmatch(r"(?!#)[!-9;-~]+", name):
        raise ValueError(
            "A user name is printable ASCII without spaces or colons,"
            f" and doesn't start with #; {name!a} isn't."
        )


def fold(name: str) -> str:
    """Return the name as it is looked up: its ASCII letters have no case."""
    # Not all of Unicode: the Kelvin sign's lower case is an ASCII k.
    return name.lower() if name.isascii() else name
