"""Requests that got no answer: what that most likely means."""

import ssl
from socket import gaierror

import requests

from tabpy.tabpy_tools import other_scheme
from tabpy.tabpy_tools.upload import Upload

OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH and that of an IP address


class ServerUnreachableError(requests.exceptions.ConnectionError, ConnectionError):
    """No connection to the server, or it broke off."""


class ServerTimeoutError(requests.exceptions.Timeout, TimeoutError):
    """The server took longer to answer than it was given."""


def broke_off(error: requests.exceptions.RequestException) -> bool:
    """Tell whether there was a connection, so that one more attempt makes sense."""
    return isinstance(_cause(error), ConnectionResetError | ConnectionAbortedError)


def explanation(error: requests.exceptions.RequestException, url: str, body: object) -> str:
    """Say in one line why the server at `url` didn't answer, and what to do about it."""
    cause = _cause(error)
    broken = f"The connection to {url} broke off ({type(cause).__name__}): "
    match error, cause:
        case requests.exceptions.ProxyError(), _:
            text = (
                f"The proxy on the way to {url} fails ({type(cause).__name__}): look at "
                "HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
            )
        case requests.exceptions.ConnectTimeout(), _:
            text = f"{url} can't be reached in time: are host and port right?"
        case _, ssl.SSLCertVerificationError(verify_code=code) if code in OTHER_NAME:
            text = (
                f"The certificate of {url} is for another name: {cause.verify_message}. Put a name "
                "that it has into the address."
            )
        case _, ssl.SSLCertVerificationError():
            text = (
                f"The certificate of {url} isn't trusted: {cause.verify_message}. For a private "
                "authority, give Client(..., ca_certificates='authority.pem')."
            )
        case _, ssl.SSLError():
            text = other_scheme.mistaken(url) or (
                f"No TLS with {url} ({cause.reason}): does its address begin with http://?"
            )
        case _, gaierror():
            text = f"{url}: no host of that name is known. Is it spelt right?"
        case _, ConnectionRefusedError():
            text = f"Nothing listens at {url}: is the server running, and on that port?"
        case _ if isinstance(body, Upload):
            text = (
                f"{broken}is the upload too large? It has {len(body) / 1e6:.1f} MB, and the "
                "server's limit is its TABPY_MAX_UPLOAD_SIZE_MB."
            )
        case _:
            text = other_scheme.mistaken(url) or (
                f"{broken}is the address right, http:// or https:// included?"
            )
    return text


def _cause(error: BaseException) -> BaseException:
    """Return the operating system's or ssl's error inside the ones of requests and urllib3."""
    inside = error.__cause__ or next(
        (each for each in error.args if isinstance(each, BaseException)), None
    )
    return error if inside is None else _cause(inside)
