"""What the steps of one check share: what was asked for, and what earlier steps learned."""

import ssl
import time
from dataclasses import dataclass, field

from tabpy.check.client import Reply, basic, send
from tabpy.check.target import Target
from tabpy.check.tls import Certificates, trusting


class TimeIsUpError(Exception):
    """The check as a whole has taken too long."""


@dataclass
class Session:
    """`limit`: the seconds within which each reply must come; the whole check gets four times that.

    `plain_port` is where a browser that is told no scheme knocks.
    """

    target: Target
    user: str | None = None
    password: str = field(default="", repr=False)
    limit: float = 30.0
    ca_file: str | None = None
    plain_port: int = 80

    addresses: list[str] = field(default_factory=list)
    certificates: Certificates | None = None
    info: Reply | None = None
    unprotected: bool = False

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + 4 * self.limit
        self._trust = trusting(self.ca_file)

    @property
    def trust(self) -> ssl.SSLContext:
        return self._trust

    @property
    def timeout(self) -> float:
        """Seconds for the next exchange. Raises TimeIsUpError."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeIsUpError
        return min(self.limit, left)

    def anonymous(self, method: str, path: str, value: object = None) -> Reply:
        """Send a request without credentials. Raises UnansweredError."""
        return self._send(method, path, value, None)

    def request(self, method: str, path: str, value: object = None) -> Reply:
        """Send a request as Tableau would. Raises UnansweredError."""
        user = None if self.unprotected else self.user
        return self._send(method, path, value, basic(user, self.password) if user else None)

    def _send(self, method: str, path: str, value: object, authorization: str | None) -> Reply:
        return send(
            self.target,
            self._trust,
            (method, path, value),
            authorization=authorization,
            timeout=self.timeout,
        )
