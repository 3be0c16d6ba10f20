"""The script worker: what a script prints, kept up to a bound."""

import io

LIMIT = 16_384  # characters a job; a script may print for ever


class Printed(io.TextIOBase):
    """Stands in for `sys.stdout` and `sys.stderr`: keeps the first `LIMIT` characters of a job."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0

    def start(self) -> None:
        """Forget what the last job printed."""
        self._parts.clear()
        self._length = 0

    def text(self) -> str:
        """Return what was kept, and how much wasn't."""
        if self._length <= LIMIT:
            return "".join(self._parts)
        return f"{''.join(self._parts)}… ({self._length - LIMIT} more characters)"

    def write(self, text: str) -> int:
        room = LIMIT - self._length
        if room > 0:
            self._parts.append(text[:room])
        self._length += len(text)
        return len(text)

    def writable(self) -> bool:
        return True
