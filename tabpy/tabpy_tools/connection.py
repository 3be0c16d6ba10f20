"""HTTP with one server: every failure becomes an error that says what to do about it."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from tabpy.tabpy_tools import other_scheme, sign_in
from tabpy.tabpy_tools.address import base_url
from tabpy.tabpy_tools.certificates import (
    authorities_of_environment,
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
from tabpy.tabpy_tools.jsonable import dumps, loads
from tabpy.tabpy_tools.remarks import warn
from tabpy.tabpy_tools.rest import ResponseError
from tabpy.tabpy_tools.upload import Upload

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0


@dataclass(frozen=True)
class Answer:
    """The JSON that a server answered with, and what it remarks, which may be empty."""

    value: Any
    remark: str


class Connection:
    """Requests to the server at `address`, with credentials once they are set.

    Until then they are those of .netrc, if it has any. `ca_certificates` names a PEM file of
    authorities to trust in place of the usual ones, which are those of REQUESTS_CA_BUNDLE,
    CURL_CA_BUNDLE or SSL_CERT_FILE, else certifi's; with `verify` false, any certificate will do.
    """

    def __init__(self, address: str, ca_certificates: str | None, verify: bool) -> None:
        self.url = base_url(address)
        self._verify: bool | str = verify
        if ca_certificates is not None:
            self._verify = checked_authorities(ca_certificates, verify)
        elif self.url.startswith("https:"):
            if verify:
                self._verify = authorities_of_environment(os.environ) or True
            else:
                warn_of_any_certificate(self.url)
        self._session = requests.Session()
        self._auth: AuthBase | None = None
        self.identity = ""  # for people to read
        self._has_met = False  # the server, with the right one of http and https

    def allow(self, at_once: int) -> None:
        """Keep connections for as many requests at a time, from different threads."""
        adapter = HTTPAdapter(pool_maxsize=at_once)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        """Close the connections that are kept open; the next request opens one again."""
        self._session.close()

    def set_credentials(self, username: str, password: str) -> None:
        """Send these with every request from now on."""
        if not isinstance(username, str) or not isinstance(password, str):
            raise TypeError("User name and password are strings; one of them isn't.")
        if ":" in username:
            raise ValueError("A user name can't contain a colon: HTTP Basic has no way to send it.")
        self._auth = _basic(username, password)
        self.identity = username

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
        self.identity = "whoever has the token"

    def call(
        self,
        method: str,
        *path: str,
        body: object = None,
        parameters: Mapping[str, str] | None = None,
        read_timeout: float | None = _READ_TIMEOUT,
    ) -> Any:
        """Return the JSON of the answer, or None where it is empty.

        What the server remarks is shown as a warning; otherwise as `ask`.
        """
        answer = self.ask(
            method, *path, body=body, parameters=parameters, read_timeout=read_timeout
        )
        if answer.remark:
            warn(answer.remark)
        return answer.value

    def ask(
        self,
        method: str,
        *path: str,
        body: object = None,
        parameters: Mapping[str, str] | None = None,
        read_timeout: float | None = _READ_TIMEOUT,
    ) -> "Answer":
        """Send one request, which GETs repeat where the connection breaks off.

        `path` is given in segments, `body` as an `Upload` or anything with a form in JSON;
        `parameters` are those behind a `?`. `read_timeout` is in seconds, None to wait for ever.
        Raises ResponseError, ServerUnreachableError or ServerTimeoutError.
        """
        url = "/".join([self.url, *map(_quoted, path)])
        if parameters:
            url += f"?{urlencode(parameters)}"
        response = self._send(method, url, body, read_timeout)
        if not response.ok or response.is_redirect:
            if response.status_code == 400 and not _is_json(response):
                self._raise_if_mistaken()  # a server of TLS may answer plain http by itself
            raise ResponseError(response)
        remark = response.headers.get("X-TabPy-Warning", "")
        if not response.content:
            return Answer(None, remark)
        try:
            return Answer(loads(response.content), remark)
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
        self._meet()
        if self._auth is None:
            self._sign_in_by_netrc()
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

    def _sign_in_by_netrc(self) -> None:
        self._auth = _Anonymous()
        try:
            user = sign_in.from_netrc(self.url, os.environ)
            if user is not None:
                self.set_credentials(user.name, user.password)
        except ValueError as error:
            warn(str(error))

    def _meet(self) -> None:
        """Find out before the first request whether it would wait for an answer in vain."""
        if not self._has_met and other_scheme.may_be_mistaken(self.url):
            self._raise_if_mistaken()
        self._has_met = True

    def _raise_if_mistaken(self) -> None:
        if (mistake := other_scheme.mistaken(self.url)) is not None:
            raise ServerUnreachableError(mistake)


class _Anonymous(AuthBase):
    """Nobody, said to `requests`, which would else look into .netrc by itself."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


def _basic(name: str, password: str) -> HTTPBasicAuth:
    return HTTPBasicAuth(name.encode(), password.encode())


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = self._header
        return r


def _is_json(response: requests.Response) -> bool:
    return "json" in response.headers.get("Content-Type", "")


def _quoted(segment: str) -> str:
    return quote(segment, safe="")
