"""Whose certificates are trusted, and what is said where none are checked."""

import re
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tabpy.tabpy_tools.remarks import warn

# OpenSSL's own variable comes last, since requests has always preferred these.
_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def checked_authorities(path: str, verify: bool) -> str:
    """Return `path`, once it is known to hold certificates; ValueError where it can't be of use."""
    if not verify:
        raise ValueError("ca_certificates is of no use with verify=False: leave one of them out.")
    return _checked("ca_certificates", path)


def authorities_of_environment(environ: Mapping[str, str]) -> str | None:
    """Return the authorities that a variable names, or None. Raises ValueError like the above."""
    for name in _VARIABLES:
        if path := environ.get(name):
            # A folder of certificates is what requests takes there, too.
            return path if Path(path).is_dir() else _checked(name, path)
    return None


def _checked(name: str, path: str) -> str:
    if not Path(path).is_file():
        raise ValueError(f"{name} has to name a file of certificates; {path!r} isn't one.")
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{name}: {path!r} holds no certificates in PEM form.") from None
    return path


def warn_of_any_certificate(url: str) -> None:
    """Say at the line that makes the `Client` what `verify=False` means."""
    warn(
        f"The certificate of {url} isn't checked (verify=False): anybody in between can read the "
        "password. Give ca_certificates='authority.pem' for a private authority."
    )


def silence_requests(url: str) -> None:
    """Keep requests from warning of this host again: it has been said once, by us."""
    host = re.escape(urlsplit(url).hostname or "")
    warnings.filterwarnings("ignore", message=f"Unverified HTTPS request .*host '{host}'")
