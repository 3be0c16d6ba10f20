"""Bearer tokens: JWT (RFC 7519) of one issuer, checked by PyJWT, and whose they are."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tabpy.tabpy_server.access.gate import Person
from tabpy.tabpy_server.access.key_download import Key
from tabpy.tabpy_server.access.key_set import KeySet
from tabpy.tabpy_server.errors import WrongTokenError
from tabpy.tabpy_server.rights import ALL

logger = logging.getLogger(__name__)

LEEWAY = 60.0  # seconds that the clocks of issuer and server may differ by
# Characters. PyJWT takes 0.1 microseconds for each: a longer token is checked on a thread, one at a
# time, so that those that somebody makes up don't keep the event loop.
LONG = 8192
LONGEST_SUBJECT = 255  # characters (OpenID Connect Core, section 2)
# In front of the subject. No user of the password file has a colon in the name, nor can Basic carry
# one, so no token makes anybody such a user.
TOKEN_OWNER = "oauth:"  # noqa: S105 - no password # nosec B105
WRONG = "The token isn't valid"


class Admitted(NamedTuple):
    """Whose a token is, and until when, in seconds since 1970."""

    person: Person
    until: float


@dataclass(frozen=True, kw_only=True)
class TokenRules:
    """Which tokens of an issuer are right, and what they give.

    `audience`: whom they have to be for, if that matters. `required`: scopes that all need.
    `scopes`: the one that gives each right, if that is `enforced`; else a token gives all rights.
    `logged`: whether the log may have the names.
    """

    issuer: str
    audience: str | None
    required: tuple[str, ...]
    scopes: Mapping[str, str]
    enforced: bool
    logged: bool


class Tokens:
    """Checks tokens by the `keys` of their issuer."""

    def __init__(self, keys: KeySet, rules: TokenRules) -> None:
        self.keys = keys
        self._rules = rules
        self._one_long = asyncio.Lock()

    @property
    def method(self) -> Mapping[str, object]:
        """Return what `/info` says of tokens."""
        return {
            "required_scopes": list(self._rules.required),
            "endpoint_scopes": list(dict.fromkeys(self._rules.scopes.values())),
            "endpoint_scopes_enforced": self._rules.enforced,
        }

    async def check(self, token: str) -> Admitted:
        """Return whose it is. Waits only for a key that isn't known.

        Raises WrongTokenError, and KeysUnavailableError for one that can't be checked now.
        """
        identity = _key_of(token)
        key = await self.keys.find(identity)
        if key is None:
            raise WrongTokenError("The token's key is none of its issuer's")
        if len(token) <= LONG:
            return self._admitted(self._claims(token, key))
        async with self._one_long:
            return self._admitted(await asyncio.to_thread(self._claims, token, key))

    def _claims(self, token: str, key: Key) -> Mapping[str, Any]:
        import jwt

        required = ["exp", "iat", "iss", *(["aud"] if self._rules.audience else [])]
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.jwk,
                algorithms=[key.algorithm],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=LEEWAY,
                options={"require": required, "verify_aud": self._rules.audience is not None},
            )
        except jwt.PyJWTError as error:
            raise _refused(error) from None
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _refused(error) from None
        return claims

    def _admitted(self, claims: Mapping[str, Any]) -> Admitted:
        granted = _scopes_of(claims)
        missing = [scope for scope in self._rules.required if scope not in granted]
        if missing:
            logger.warning("JWT missing required scope(s): %s", ", ".join(missing))
            raise WrongTokenError(f"The token doesn't have the scope {' '.join(missing)}")
        rights = ALL
        if self._rules.enforced:
            rights = tuple(right for right in ALL if self._rules.scopes[right] in granted)
        person = Person(
            TOKEN_OWNER + _subject_of(claims), rights, self._rules.scopes, self._rules.logged
        )
        return Admitted(person, int(claims["exp"]) + LEEWAY)


def _key_of(token: str) -> str:
    """Return the id of the key that signed it, as it says. Raises WrongTokenError."""
    import jwt

    try:
        # Without the rest, which may be long, and which PyJWT would look at letter by letter.
        identity = jwt.get_unverified_header(f"{token.partition('.')[0]}..").get("kid")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _refused(error) from None
    if not isinstance(identity, str) or not identity:
        logger.warning("Unable to resolve JWT signing key: the token names none (kid)")
        raise WrongTokenError("The token doesn't say which key signed it")
    return identity


def _scopes_of(claims: Mapping[str, Any]) -> set[str]:
    """Return the scopes of `scope` (RFC 9068) and `scp` (Microsoft, Okta): words in a text, or a
    list. Raises WrongTokenError."""
    found: set[str] = set()
    for claim in ("scope", "scp"):
        said = claims.get(claim, "")
        words = said.split() if isinstance(said, str) else said
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            logger.warning("JWT validation failed: Unable to evaluate JWT scopes")
            raise WrongTokenError(f"The token's {claim} is neither words nor a list of them")
        found.update(words)
    return found


def _subject_of(claims: Mapping[str, Any]) -> str:
    """Return whom it stands for; "" if it doesn't say: all of those are one. Raises
    WrongTokenError for a name that a log can't carry on one line."""
    subject = claims.get("sub", "")
    if not subject.isprintable() or len(subject) > LONGEST_SUBJECT:
        logger.warning("JWT validation failed: the subject isn't printable, or is too long")
        raise WrongTokenError(f"The token's sub isn't {LONGEST_SUBJECT} printable characters")
    return str(subject)


def _refused(error: Exception) -> WrongTokenError:
    """Log what is wrong, and return what the client is told of it."""
    import jwt

    told = {
        jwt.ExpiredSignatureError: "The token has expired",
        jwt.ImmatureSignatureError: "The token isn't valid yet",
        jwt.InvalidAudienceError: "The token is for another audience",
        jwt.InvalidIssuerError: "The token is of another issuer",
        jwt.InvalidAlgorithmError: "The token isn't signed by the algorithm of its key",
        jwt.MissingRequiredClaimError: "The token lacks one of exp, iat, iss and aud",
    }
    logger.warning("JWT validation failed: %s", str(error)[:200])
    return WrongTokenError(told.get(type(error), WRONG))
