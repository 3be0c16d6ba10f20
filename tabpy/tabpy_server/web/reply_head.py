"""The headers of every reply."""

import time
from collections.abc import Mapping
from email.utils import formatdate


class ReplyHead:
    """The headers as they are sent; they have the time, to the second."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._fixed = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        self._second = 0
        self._lines = ""

    def lines(self) -> str:
        """Return them, each with its end."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._lines = f"{self._fixed}Date: {formatdate(now, usegmt=True)}\r\n"
        return self._lines
