"""Who may enter by a bearer token, beside those who have a password.

A wrong token delays nobody: a signature can't be guessed, and to find it wrong costs less than a
millisecond. So there is nothing to slow down, unlike with passwords.
"""

import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Mapping

from tabpy.tabpy_server.access.gate import REMEMBERED, Gate, Person
from tabpy.tabpy_server.access.key_set import KeySet
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.tokens import LONG, Admitted, Tokens
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.errors import WrongTokenError

logger = logging.getLogger(__name__)

TOKEN_METHOD = "oauth-jwt"  # noqa: S105 - TabPy's word for it # nosec B105


class TokenGate:
    """Lets requests in by `Authorization: Bearer`, and by what `passwords` lets in, if anybody has
    one."""

    required = True

    def __init__(self, tokens: Tokens, passwords: Gate) -> None:
        self._tokens = tokens
        self._passwords = passwords
        self._secret = os.urandom(32)
        self._right: OrderedDict[bytes, Admitted] = OrderedDict()
        self._right_under = tokens.keys.known()

    @property
    def keys(self) -> KeySet:
        """Return the issuer's keys, which somebody has to keep."""
        return self._tokens.keys

    def user(self, name: str) -> User | None:
        """Return what is known of a user with a password now; None for none of that name."""
        return self._passwords.user(name)

    @property
    def users(self) -> Users:
        """Return who has a password."""
        return self._passwords.users

    @property
    def methods(self) -> Mapping[str, object]:
        """Return how to sign in, as `/info` says it."""
        by_password = self._passwords.methods if self._passwords.has_users else {}
        return {**by_password, TOKEN_METHOD: self._tokens.method}

    def remembered(self, header: str | None) -> Person | None:
        """Return the person of a header that has been right before; None for any other, at once.

        No token counts for longer than its time, or than the issuer's keys are what they were.
        """
        if header is None or not _is_bearer(header):
            return self._passwords.remembered(header)
        self._forget_other_keys()
        key = self._key(header)
        found = self._right.get(key)
        if found is None:
            return None
        if time.time() >= found.until:
            del self._right[key]
            return None
        self._right.move_to_end(key)
        return found.person

    async def admit(self, header: str | None, address: str) -> Person:
        """Return who it is.

        Raises WrongTokenError, KeysUnavailableError, and for a password what a `Gate` raises.
        """
        if person := self.remembered(header):
            return person
        if header is None or not _is_bearer(header):
            if self._passwords.has_users:
                return await self._passwords.admit(header, address)
            if header is not None:
                self._log_mismatch(address)
            raise WrongTokenError
        parts = header.split()
        if len(parts) != 2:
            self._log_mismatch(address)
            raise WrongTokenError
        admitted = await self._tokens.check(parts[1])
        if len(header) <= LONG:  # else its key may have been withdrawn while it was checked
            self._remember(header, admitted)
        return admitted.person

    def _remember(self, header: str, admitted: Admitted) -> None:
        self._forget_other_keys()
        self._right[self._key(header)] = admitted
        if len(self._right) > REMEMBERED:
            self._right.popitem(last=False)

    def _forget_other_keys(self) -> None:
        """Forget all tokens where the issuer's keys have changed: theirs may be withdrawn."""
        keys = self.keys.known()
        if keys is not self._right_under:
            self._right_under = keys
            self._right.clear()

    def _log_mismatch(self, address: str) -> None:
        logger.warning(
            'Authorization header did not match the expected "Bearer" scheme',
            extra={"fields": {"address": address}},
        )

    def _key(self, header: str) -> bytes:
        # Keyed, so what is in memory is no token.
        return hashlib.blake2b(header.encode(), key=self._secret, digest_size=32).digest()


def _is_bearer(header: str) -> bool:
    return header.lstrip()[:7].rstrip().lower() == "bearer"
