"""The flight process: who calls.

The same gate as for HTTP, in the loop of the flight process. Whoever has signed in by a password is
given a short-lived token, as TabPy does it; it is none for HTTP.
"""

from collections.abc import Mapping, Sequence

from tabpy.tabpy_server.access.gate import NOBODY, Gate, OpenGate, Person, parse_basic
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.access.tokens import TOKEN_OWNER
from tabpy.tabpy_server.errors import WrongCredentialsError
from tabpy.tabpy_server.flight.bearers import Bearers

# gRPC tells nobody the address of whoever signs in, so wrong passwords count by name alone.
ADDRESS = "flight"
NONE, WRONG = "No credentials supplied", "Invalid credentials"  # TabPy's words
HEADER = "authorization"


class NoCredentialsError(WrongCredentialsError):
    """A call without credentials, or with something that can't be taken for any."""


class SignIn:
    """Finds out who calls, from the headers of a call."""

    def __init__(self, gate: Gate | OpenGate | TokenGate) -> None:
        self._gate = gate
        self._bearers = None if isinstance(gate, OpenGate) else Bearers(gate.user)

    async def admit(self, headers: Mapping[str, Sequence[str | bytes]]) -> "Caller":
        """Return who calls. `headers` by their names in lower case.

        Raises NoCredentialsError, and what the gate raises.
        """
        if self._bearers is None or isinstance(self._gate, OpenGate):
            return Caller(NOBODY)  # a gateway's header is its own business
        given = {str(each) for each in headers.get(HEADER, ())}
        if len(given) != 1:
            raise NoCredentialsError
        header = given.pop()
        scheme, _, rest = header.strip().partition(" ")
        if scheme.lower() == "bearer" and (person := self._bearers.person(rest.strip())):
            return Caller(person)
        if scheme.lower() != "bearer" and parse_basic(header) is None:
            raise NoCredentialsError
        person = await self._gate.admit(header, ADDRESS)
        if scheme.lower() == "bearer":
            return Caller(person)
        return Caller(person, self._bearers.give(person))


class Caller:
    """Who calls: `person`, and the `bearer` that is to be sent back, "" for none."""

    def __init__(self, person: Person, bearer: str = "") -> None:
        self.person = person
        self.bearer = bearer

    @property
    def owner(self) -> str:
        """Return whose tables are theirs: on an open server there is one owner."""
        return self.person.name or ""

    @property
    def in_log(self) -> str | None:
        """Return how the log calls them."""
        return self.person.name if self.person.is_logged else TOKEN_OWNER
