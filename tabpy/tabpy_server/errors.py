"""The one exception that carries an answer: its status, message and info reach the client."""

from collections.abc import Mapping


class RequestError(Exception):
    """What went wrong with one request, in the words its sender will read.

    `message` and `info` are the two lines Tableau shows to the person at the dashboard; neither
    may name a file or a secret of the server. `headers` go out with the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        info: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.info = info
        self.headers = dict(headers or {})


class StartError(Exception):
    """Why the server can't start: one line that names the setting, its value and what is right."""
