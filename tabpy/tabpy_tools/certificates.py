"""Whose certificates are trusted, and what is said where none are checked."""

import re
import ssl
import warnings
from pathlib import Path
from urllib.parse import urlsplit


def checked_authorities(path: str, verify: bool) -> str:
    """Return `path`, once it is known to hold certificates; ValueError where it can't be of use."""
    if not verify:
        raise ValueError("ca_certificates is of no use with verify=False: leave one of them out.")
    if not Path(path).is_file():
        raise ValueError(f"ca_certificates has to name a file of certificates; {path!r} isn't one.")
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"ca_certificates: {path!r} holds no certificates in PEM form.") from None
    return path


def warn_of_any_certificate(url: str) -> None:
    """Say at the line that makes the `Client` what `verify=False` means."""
    warnings.warn(
        f"The certificate of {url} isn't checked (verify=False): anybody in between can read the "
        "password. Give ca_certificates='authority.pem' for a private authority.",
        stacklevel=4,
    )


def silence_requests(url: str) -> None:
    """Keep requests from warning of this host again: it has been said once, by us."""
    host = re.escape(urlsplit(url).hostname or "")
    warnings.filterwarnings("ignore", message=f"Unverified HTTPS request .*host '{host}'")
