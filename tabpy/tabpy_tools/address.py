"""The address of a server, as people write it."""

from urllib.parse import urlsplit

_EXAMPLE = "http://localhost:9004 or https://example.com/tabpy"


def base_url(address: object) -> str:
    """Return how every request's URL begins: `http(s)://host[:port][/prefix]`, no closing slash.

    An IPv6 host stands in brackets. Raises TypeError for what isn't a string and ValueError for
    what isn't such an address; neither repeats an address that may hold a password.
    """
    if not isinstance(address, str):
        raise TypeError(
            f"The server's address is a string such as {_EXAMPLE}, not {type(address).__name__}."
        )
    if "@" in address:
        raise ValueError(
            "User name and password don't belong into the server's address: leave out what stands "
            "before the @ and call set_credentials(username, password)."
        )
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{address!r} isn't an address such as {_EXAMPLE}: {error}.") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(
            f"The server's address begins with http:// or https://, such as {_EXAMPLE}; "
            f"this doesn't: {address!r}."
        )
    if not parts.hostname or port == 0 or any(letter.isspace() for letter in address):
        raise ValueError(
            f"{address!r} names no host and port such as {_EXAMPLE} or http://[::1]:9004."
        )
    if parts.query or parts.fragment:
        raise ValueError(
            f"The server's address has no ? or # part, unlike {address!r}: leave it out."
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
