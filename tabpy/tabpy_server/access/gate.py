"""Who may enter: the rule, apart from HTTP.

Verifying a password is slow on purpose and runs on threads, a few at a time. A credential that was
right is remembered, so each request after the first costs microseconds.
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
from weakref import WeakValueDictionary

from tabpy.tabpy_server import process_memory
from tabpy.tabpy_server.access import password_hashes
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.password_hashes import fold
from tabpy.tabpy_server.access.throttle import LAST_DELAY, Throttle, network_of
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.errors import (
    MissingRightError,
    MissingScopeError,
    TooManySignInsError,
    UnexpectedCredentialsError,
    WrongCredentialsError,
)
from tabpy.tabpy_server.rights import ALL, Rights

logger = logging.getLogger(__name__)

VERIFIERS = 2  # threads: argon2id takes 19 MiB each
REMEMBERED = 1024  # credentials
BASIC_METHOD = "basic-auth"  # TabPy's word for it


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

    def __init__(self, users: Users, throttle: Throttle) -> None:
        self._users = users
        self._throttle = throttle
        self._secret = os.urandom(32)
        self._right: OrderedDict[bytes, Person] = OrderedDict()
        self._right_under = users.current()
        self._threads: ThreadPoolExecutor | None = None
        # Weak, so that a lock lives as long as somebody holds it or waits for it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def has_users(self) -> bool:
        """Tell whether anybody could sign in by a password."""
        return bool(self._users.current())

    @property
    def methods(self) -> Mapping[str, object]:
        """Return how to sign in, as `/info` says it."""
        return {BASIC_METHOD: {}}

    def remembered(self, header: str | None) -> Person | None:
        """Return the person of a header that has been right before; None for any other, at once."""
        users = self._users.current()
        if users is not self._right_under:
            self._right_under = users
            self._right.clear()
        if header is None:
            return None
        key = self._key(header)
        person = self._right.get(key)
        if person is not None:
            self._right.move_to_end(key)
        return person

    async def admit(self, header: str | None, address: str) -> Person:
        """Return who it is.

        Raises WrongCredentialsError, or TooManySignInsError after many failures from `address`.
        """
        if person := self.remembered(header):
            return person
        credentials = parse_basic(header)
        if credentials is None:
            raise WrongCredentialsError
        # One after the other, so that people behind one address don't take each other, while they
        # are verified, for failures; a second request of the same person finds them remembered.
        async with self._turns.setdefault(network_of(address), asyncio.Lock()):
            if person := self.remembered(header):
                return person
            delay = self._throttle.book(address)
            if delay == 0.0:
                return await self._verified(credentials, header, address)
        if delay > LAST_DELAY:
            raise TooManySignInsError(delay)
        await asyncio.sleep(delay)
        return await self._verified(credentials, header, address)

    async def _verified(
        self, credentials: tuple[str, str], header: str | None, address: str
    ) -> Person:
        """Return who it is, after taking back what was booked. Raises WrongCredentialsError."""
        name, password = credentials
        users = self._users.current()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(VERIFIERS, thread_name_prefix="password")
        right = await asyncio.get_running_loop().run_in_executor(
            self._threads, _verify, users, name, password
        )
        if not right:
            logger.warning("Wrong credentials.", extra={"fields": {"address": address}})
            raise WrongCredentialsError
        self._throttle.refund(address)
        assert header is not None
        person = Person(fold(name), users[fold(name)].rights)
        if users is self._right_under:  # else it may have been right under another file only
            self._right[self._key(header)] = person
        if len(self._right) > REMEMBERED:
            self._right.popitem(last=False)
        return person

    def _key(self, header: str) -> bytes:
        # Keyed, so what is in memory is neither a password nor something to guess it from.
        return hmac.digest(self._secret, header.encode(), hashlib.sha256)


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

    def remembered(self, header: str | None) -> Person | None:
        """Return None: nobody is known here."""
        return None

    async def admit(self, header: str | None, address: str) -> Person:
        """Let in whoever gives no credentials.

        Raises UnexpectedCredentialsError for credentials, as TabPy does: somebody expects
        protection.
        """
        if header is not None:
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
