"""The script worker: what a script knows of its request, as `tabpy.headers` and `tabpy.logger`."""

import logging
from collections.abc import Iterator, Mapping

from tabpy.tabpy_server.workers.worker.output import LIMIT


class Headers(Mapping[str, str]):
    """Headers by their names, in any case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._values = {name.lower(): value for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        return f"Headers({dict(self)})"


class Logged(logging.Handler):
    """Keeps what a script logs, up to a bound: `lines` are pairs of level and text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = []
        self._room = LIMIT

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if self._room > 0:
            self.lines.append((int(record.levelno), text[: self._room]))
        self._room -= len(text) + 1  # so that there aren't many empty ones either


class Request:
    """The headers that a script may see, and the log it may write to; each is made when a script
    asks for it."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = headers or {}
        self._logged: Logged | None = None

    @property
    def headers(self) -> Headers:
        return Headers(self._headers)

    def logger(self) -> logging.Logger:
        """Return one that nobody else has."""
        if self._logged is None:
            self._logged = Logged()
        made = logging.Logger("tabpy.script")
        made.addHandler(self._logged)
        return made

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Return what was logged."""
        return self._logged.lines if self._logged is not None else []
