"""HTTP with one server: every failure becomes an error that says what to do about it."""

import time
import warnings
from typing import Any
from urllib.parse import quote

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from tabpy.tabpy_tools.address import base_url
from tabpy.tabpy_tools.certificates import (
    checked_authorities,
    silence_requests,
    warn_of_any_certificate,
)
from tabpy.tabpy_tools.failures import (
    ServerTimeoutError,
    ServerUnreachableError,
    broke_off,
    explanation,
)
from tabpy.tabpy_tools.jsonable import dumps
from tabpy.tabpy_tools.rest import ResponseError
from tabpy.tabpy_tools.upload import Upload

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0


class Connection:
    """Requests to the server at `address`, with credentials once they are set.

    `ca_certificates` names a PEM file of authorities to trust in place of the usual ones; with
    `verify` false, any certificate will do.
    """

    def __init__(self, address: str, ca_certificates: str | None, verify: bool) -> None:
        self.url = base_url(address)
        self._verify: bool | str = verify
        if ca_certificates is not None:
            self._verify = checked_authorities(ca_certificates, verify)
        elif not verify and self.url.startswith("https:"):
            warn_of_any_certificate(self.url)
        self._session = requests.Session()
        self._auth: AuthBase | None = None

    def set_credentials(self, username: str, password: str) -> None:
        """Send these with every request from now on."""
        if not isinstance(username, str) or not isinstance(password, str):
            raise TypeError("User name and password are strings; one of them isn't.")
        if ":" in username:
            raise ValueError("A user name can't contain a colon: HTTP Basic has no way to send it.")
        self._auth = HTTPBasicAuth(username.encode(), password.encode())

    def set_token(self, token: str) -> None:
        """Send this bearer token with every request from now on."""
        if (
            not isinstance(token, str)
            or not token
            or not token.isascii()
            or any(letter.isspace() for letter in token)
        ):
            raise ValueError("A bearer token is one word of ASCII letters, without `Bearer`.")
        self._auth = _Bearer(token)

    def call(
        self,
        method: str,
        *path: str,
        body: object = None,
        read_timeout: float | None = _READ_TIMEOUT,
    ) -> Any:
        """Return the JSON of the answer, or None where it is empty.

        `path` is given in segments, `body` as an `Upload` or anything with a form in JSON.
        `read_timeout` is in seconds, None to wait for ever. What the server remarks in
        `X-TabPy-Warning` is shown as a warning at the caller's caller. Raises ResponseError,
        ServerUnreachableError or ServerTimeoutError.
        """
        response = self._send(method, "/".join([self.url, *map(_quoted, path)]), body, read_timeout)
        if not response.ok or response.is_redirect:
            raise ResponseError(response)
        if remark := response.headers.get("X-TabPy-Warning"):
            warnings.warn(remark, stacklevel=3)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise ResponseError(response) from None

    def _send(
        self, method: str, url: str, body: object, read_timeout: float | None
    ) -> requests.Response:
        data: Any = None
        headers = {}
        if isinstance(body, Upload):
            data, headers["Content-Type"] = body, body.content_type
        elif body is not None:
            data, headers["Content-Type"] = dumps(body), "application/json"
        if self._verify is False:
            silence_requests(url)
        attempts = 2 if method == "GET" else 1
        while True:
            attempts -= 1
            start = time.monotonic()
            try:
                return self._session.request(
                    method,
                    url,
                    data=data,
                    headers=headers,
                    auth=self._auth,
                    timeout=(_CONNECT_TIMEOUT, read_timeout),
                    verify=self._verify,
                    allow_redirects=False,  # a POST would become a GET, or credentials stray
                )
            except requests.exceptions.ReadTimeout:
                waited = time.monotonic() - start
                raise ServerTimeoutError(
                    f"{url} hasn't answered within {waited:.1f} seconds."
                ) from None
            except requests.exceptions.RequestException as error:
                if attempts and broke_off(error):
                    continue
                raise ServerUnreachableError(explanation(error, self.url, body)) from None


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = self._header
        return r


def _quoted(segment: str) -> str:
    return quote(segment, safe="")
