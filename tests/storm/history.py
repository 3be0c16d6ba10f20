"""The deployments of one function, and so which answers of it are right."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

KEPT = 999  # versions of a function, the most that TABPY_KEEP_VERSIONS takes
State = Literal["pending", "acknowledged", "found", "refused"]


@dataclass
class Attempt:
    """One deployment: the number that its function answers, and the archive's SHA-256.

    `version`: what the server has called it, None until it has.
    """

    number: int
    sha256: str
    version: int | None = None
    state: State = "pending"


class History:
    """All attempts at one function, made one after the other by one client."""

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []
        self._lock = threading.Lock()
        self.acknowledged = 0

    def begin(self, number: int, sha256: str) -> None:
        with self._lock:
            self._attempts.append(Attempt(number, sha256))

    def acknowledge(self, version: int) -> None:
        """The last attempt was answered with its version."""
        with self._lock:
            self._attempts[-1].version, self._attempts[-1].state = version, "acknowledged"
            self.acknowledged += 1

    def settle(self, listed: Mapping[str, int]) -> None:
        """The last attempt was not acknowledged: by the versions that are listed now, as SHA-256
        and number, it has come to be or it hasn't."""
        with self._lock:
            last = self._attempts[-1]
            last.version = listed.get(last.sha256)
            last.state = "refused" if last.version is None else "found"

    def mark(self) -> int:
        """What was acknowledged last, for `possible`."""
        with self._lock:
            states = [each.state for each in self._attempts]
            return len(states) - 1 - states[::-1].index("acknowledged")

    def possible(self, mark: int) -> set[int]:
        """The numbers that may have been answered since: of what was acknowledged last then, and of
        all that came later. Of what nobody was told of, not every web process knows at once."""
        with self._lock:
            return {each.number for each in self._attempts[mark:] if each.state != "refused"}

    def known(self) -> dict[int, str]:
        """SHA-256 of each version that the server has told of."""
        with self._lock:
            return {each.version: each.sha256 for each in self._attempts if each.version}

    def faults(self, known: Mapping[int, str], listed: Iterable[Mapping[str, Any]]) -> list[str]:
        """What is wrong with a list of versions, by those `known` before it was asked for."""
        archives = [(each["version"], each["sha256"]) for each in listed]
        with self._lock:
            made = {each.sha256 for each in self._attempts if each.state != "refused"}
        oldest = max(version for version, _ in archives) - KEPT + 1
        lost = sorted({each for each in known.items() if each[0] >= oldest} - {*archives})
        return [
            *(f"version {version} is lost" for version, _ in lost),
            *(f"nobody deployed version {each}" for each, sha in archives if sha not in made),
            *(["an archive is listed twice"] if len(archives) != len(dict(archives)) else []),
            *(
                ["one deployment has made two versions"]
                if len({sha256 for _, sha256 in archives}) != len(archives)
                else []
            ),
        ]
