"""The error a server answered with."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


class ResponseError(RuntimeError):
    """The server refused or failed: `.status_code`, `.message` and `.info`.

    Of a script or function that was to be debugged there are also `.printed`, what it had printed,
    and `.trace`, the author's part of the traceback; both are empty otherwise.
    """

    def __init__(self, response: "requests.Response") -> None:
        super().__init__("Unexpected server response")
        self.response = response
        self.status_code = response.status_code
        self.message: str = response.reason or "Unexpected answer"
        self.info: str | None = None
        self.printed = ""
        self.trace = ""
        try:
            reply = response.json()
        except ValueError:
            reply = None
        if isinstance(reply, dict) and "message" in reply:
            self.message = str(reply["message"])
            info = reply.get("info")
            if isinstance(info, dict):  # of a function that failed
                info = info.get("error")
            self.info = str(info) if info else None
            self.printed = str(reply.get("printed", ""))
            self.trace = str(reply.get("trace", ""))
        elif response.is_redirect:
            location = response.headers["location"]
            self.info = f"The server sends us on to {location}: give Client that address"
        else:
            self.info = (
                f"The answer isn't TabPy's JSON but {response.headers.get('content-type')}: "
                f"does {response.url} belong to a TabPy server?"
            )

    def __str__(self) -> str:
        text = f"{self.status_code} {self.message}"
        if self.info:
            # The lines of a script or function that led to an error.
            text += f"\n{self.info}" if "\n" in self.info else f" ({self.info})"
        if self.status_code == 401:
            text += (
                ": call set_credentials(username, password) with what the server knows, or set "
                "TABPY_URL, TABPY_USERNAME and TABPY_PASSWORD"
            )
        return text
