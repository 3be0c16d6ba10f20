"""Short-lived bearer tokens, for whoever has signed in by a password."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.access.password_file import User

LIFE = 3600.0  # seconds from when one is made
RENEWED = 300.0  # seconds before its end from which on a sign-in makes another


@dataclass(frozen=True)
class Bearer:
    """`user`: what the password file said of the person when it was made."""

    token: str
    digest: bytes
    person: Person
    user: User | None
    until: float


class Bearers:
    """At most two for each user, the later one made in the last minutes of the other.

    One counts no longer than its user is in the password file with the same password and rights.
    """

    def __init__(
        self, user_of: Callable[[str], User | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`user_of` looks a name up among the users as they are now."""
        self._user_of = user_of
        self._clock = clock
        self._by_name: dict[str, list[Bearer]] = {}

    def give(self, person: Person) -> str:
        """Return a token for somebody who has just signed in: the same one as the last time, for
        as long as it lasts."""
        name, now = person.name or "", self._clock()
        own = self._right(name)
        if not own or own[-1].until - now <= RENEWED:
            token = secrets.token_urlsafe(32)
            own.append(Bearer(token, _digest(token), person, self._user_of(name), now + LIFE))
        self._by_name[name] = own
        return own[-1].token

    def person(self, token: str) -> Person | None:
        """Return whose token it is; None for one that nobody has, or that has ended."""
        # By digests, since comparing those tells nothing of how much of a token was guessed.
        sought = _digest(token)
        for name in [*self._by_name]:
            self._by_name[name] = self._right(name)
            for each in self._by_name[name]:
                if each.digest == sought:
                    return each.person
        return None

    def _right(self, name: str) -> list[Bearer]:
        """Return the user's tokens that still count."""
        now, user = self._clock(), self._user_of(name)
        if user is None:
            return []
        return [
            each for each in self._by_name.get(name, ()) if now < each.until and each.user == user
        ]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
