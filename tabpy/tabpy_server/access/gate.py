"""Who may enter: the rule, apart from HTTP.

Verifying a password is slow on purpose and runs on threads, a few at a time. A credential that was
right is remembered, so each request after the first costs microseconds, and so is a wrong one: only
who sends many different ones guesses. A wrong password never keeps a right one out.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from tabpy.tabpy_server import process_memory
from tabpy.tabpy_server.access import password_hashes
from tabpy.tabpy_server.access.line import Line
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.password_hashes import fold
from tabpy.tabpy_server.access.throttle import Throttle, network_of
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.errors import (
    MissingRightError,
    MissingScopeError,
    UnexpectedCredentialsError,
    WrongCredentialsError,
)
from tabpy.tabpy_server.rights import ALL, Rights

logger = logging.getLogger(__name__)

VERIFIERS = 2  # threads: argon2id takes 19 MiB each
REMEMBERED = 1024  # credentials, of the right ones and of the wrong ones
BASIC_METHOD = "basic-auth"  # TabPy's word for it
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Person:
    """Who sends a request, and what they may do; on an open server nobody has a name.

    `scopes`: for somebody with a token, the scope that gives each right. `is_logged`: whether the
    log may have the name.
    """

    name: str | None
    rights: Rights
    scopes: Mapping[str, str] | None = None
    is_logged: bool = True

    def need(self, right: str) -> None:
        """Raise MissingRightError or MissingScopeError unless they have `right`."""
        if right in self.rights:
            return
        if self.scopes is not None:
            raise MissingScopeError(right, self.scopes[right])
        raise MissingRightError(self.name or "", right, list(self.rights))


NOBODY = Person(None, ALL)


class Gate:
    """Lets requests in by their `Authorization` header."""

    required = True

    def __init__(
        self, users: Users, throttle: Throttle, passwords: Mapping[str, str] | None = None
    ) -> None:
        """`passwords`: those of users that the server was told in clear, by their names. They are
        known from the start, as if they had signed in before."""
        self._users = users
        self._throttle = throttle
        self._secret = os.urandom(32)
        self._right: OrderedDict[bytes, Person] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._under = users.current()
        self._told = {
            fold(name): self._key(password) for name, password in (passwords or {}).items()
        }
        self._threads: ThreadPoolExecutor | None = None
        # Weak, so that a lock lives as long as somebody holds it or waits for it.
        self._same: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._lines: WeakValueDictionary[str, Line] = WeakValueDictionary()

    def user(self, name: str) -> User | None:
        """Return what is known of a user now; None for none of that name."""
        return self._users.current().get(name)

    @property
    def has_users(self) -> bool:
        """Tell whether anybody could sign in by a password."""
        return bool(self._users.current())

    @property
    def methods(self) -> Mapping[str, object]:
        """Return how to sign in, as `/info` says it."""
        return {BASIC_METHOD: {}}

    @property
    def users(self) -> Users:
        """Return who has a password."""
        return self._users

    def remembered(self, header: str | None) -> Person | None:
        """Return the person of a header that has been right before; None for any other, at once."""
        users = self._users.current()
        if users is not self._under:
            self._under = users
            self._right.clear()
            self._wrong.clear()
        if header is None:
            return None
        key = self._key(header)
        person = self._right.get(key)
        if person is not None:
            self._right.move_to_end(key)
        return person

    async def admit(self, header: str | None, address: str) -> Person:
        """Return who it is.

        Raises WrongCredentialsError, or TooManySignInsError for one of so many guesses at a name
        from `address` that there was no time to look at it.
        """
        if person := self.remembered(header):
            return person
        credentials = parse_basic(header)
        if header is None or credentials is None:
            raise WrongCredentialsError
        name, password = fold(credentials[0]), credentials[1]
        if hmac.compare_digest(self._told.get(name, b""), self._key(password)):
            return self._remember(header, name, self._users.current())
        # A workbook sends its old password with each mark: that is one guess, and costs one.
        async with self._same.setdefault(self._key(header), asyncio.Lock()):
            if person := self.remembered(header):
                return person
            if self._key(header) in self._wrong:
                raise _refused(address)
            async with self._line(f"{network_of(address)} {name}"):
                await asyncio.sleep(self._throttle.book(name, address))
                async with self._line(network_of(address)):
                    return await self._verified(name, password, header, address)

    def _line(self, whose: str) -> Line:
        return self._lines.setdefault(whose, Line())

    async def _verified(self, name: str, password: str, header: str, address: str) -> Person:
        """Return who it is, after taking back what was booked. Raises WrongCredentialsError."""
        users = self._users.current()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(VERIFIERS, thread_name_prefix="password")
        right = await asyncio.get_running_loop().run_in_executor(
            self._threads, _verify, users, name, password
        )
        if not right:
            if users is self._under:  # else it may be right by now
                _keep(self._wrong, self._key(header), None)
            raise _refused(address)
        self._throttle.refund(name, address)
        return self._remember(header, name, users)

    def _remember(self, header: str, name: str, users: Mapping[str, User]) -> Person:
        """Return the person of a header that is right for `users`."""
        person = Person(name, users[name].rights)
        if users is self._under:  # else it may have been right under another file only
            _keep(self._right, self._key(header), person)
        return person

    def _key(self, text: str) -> bytes:
        # Keyed, so what is in memory is neither a password nor something to guess it from.
        said = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(said, key=self._secret, digest_size=32).digest()


def _keep(kept: OrderedDict[bytes, Kept], key: bytes, value: Kept) -> None:
    kept[key] = value
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _refused(address: str) -> WrongCredentialsError:
    logger.warning("Wrong credentials.", extra={"fields": {"address": address}})
    return WrongCredentialsError()


def _verify(users: Mapping[str, User], name: str, password: str) -> bool:
    right = password_hashes.verify_any(
        {each: user.encoded for each, user in users.items()}, name, password
    )
    process_memory.trim()  # argon2id has just used 19 MiB
    return right


class OpenGate:
    """Lets everybody in: the operator asked for it with --disable-auth-warning."""

    required = False
    methods: Mapping[str, object] = {}
    users: Users | None = None

    def remembered(self, header: str | None) -> Person | None:
        """Return None: nobody is known here."""
        return None

    async def admit(self, header: str | None, address: str) -> Person:
        """Let in whoever gives no user name and password.

        Raises UnexpectedCredentialsError for these, as TabPy does: somebody expects protection.
        Other headers are between the client and a gateway in front, which passes them on.
        """
        if parse_basic(header) is not None:
            raise UnexpectedCredentialsError
        return NOBODY


def parse_basic(header: str | None) -> tuple[str, str] | None:
    """Return name and password of a Basic header (RFC 7617); None for any other header."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")  # what older clients send
    name, colon, password = text.partition(":")
    return (name, password) if colon else None
