"""What the headers of a request say: this module reads them, and no other does.

A client may write anything into them, so nothing here raises; what can't be understood counts as
not sent. tornado lets no control character through, and decodes the rest as Latin-1.
"""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

REQUEST_ID_LIMIT = 200  # characters
SCRIPTS_OWN = ("TabPy-User", "TabPy-Client")
NUMBER = re.compile("0*([0-9]{1,18})")
TOO_MANY_DIGITS = 10**18  # bytes: what a size of more digits counts as
ENDLESS_DIGITS = 100
ENDLESS_PORT = re.compile(f":[0-9]{{{ENDLESS_DIGITS},}}$")
# RFC 9110, section 8.8.3. A W/ in front doesn't matter to If-None-Match.
ETAG = re.compile('"[^"]*"')

# What java.net.HttpURLConnection sends where a program doesn't say what it accepts.
JAVAS_OWN = re.compile(r"text/html, *image/gif, *image/jpeg, *\*")
NOT_AT_ALL = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*", re.IGNORECASE)


class RequestHeaders:
    """The headers that the server looks at, with a type each."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        """Take headers by their names in lower case; lines of one name are joined by ","."""
        self._fields = fields

    # The request

    @property
    def request_id(self) -> str:
        """Return the id that the client gave the request, or ""."""
        return self._fields.get("x-request-id", "")[:REQUEST_ID_LIMIT]

    @property
    def authorization(self) -> str | None:
        return self._fields.get("authorization")

    @property
    def origin(self) -> str | None:
        """Return the site whose page makes the request; None outside a browser."""
        return self._fields.get("origin")

    @property
    def fetch_site(self) -> str | None:
        """Return how a browser calls the site whose page makes the request: same-origin, same-site,
        cross-site, or none if a person does (https://www.w3.org/TR/fetch-metadata/, 2.3)."""
        return self._fields.get("sec-fetch-site")

    @property
    def opens_page(self) -> bool:
        """Tell whether a browser will show the answer as a new page: no other page sees it."""
        return (
            self._fields.get("sec-fetch-mode") == "navigate"
            and self._fields.get("sec-fetch-dest") == "document"
        )

    @property
    def client(self) -> str | None:
        """Return the name of the program: Tableau's own header, else the usual one."""
        return self._fields.get("tabpy-client") or self._fields.get("user-agent")

    @property
    def tableau_user(self) -> str | None:
        return self._fields.get("tabpy-user")

    @property
    def for_scripts(self) -> dict[str, str]:
        """Return those that scripts may see: no credentials are among them."""
        found = {name: self._fields.get(name.lower()) for name in SCRIPTS_OWN}
        return {name: text for name, text in found.items() if text is not None}

    def etag_matches(self, tag: str) -> bool:
        """Tell whether If-None-Match names `tag`, a strong ETag in its quotes, or any by `*`.

        The comparison is the weak one (RFC 9110, section 13.1.2).
        """
        sent = self._fields.get("if-none-match", "")
        return sent.strip() == "*" or tag in ETAG.findall(sent)

    # The body

    @property
    def has_body(self) -> bool:
        return "content-length" in self._fields or "transfer-encoding" in self._fields

    @property
    def asks_first(self) -> bool:
        """Tell whether the client sends the body only if it is told to go on."""
        return "expect" in self._fields

    @property
    def declared_size(self) -> int:
        """Return the body's size in bytes, or 0 if that isn't said."""
        declared = self._fields.get("content-length", "")
        if number := NUMBER.fullmatch(declared):
            return int(number[1])
        # Python reads no number of thousands of digits, and writes none.
        return TOO_MANY_DIGITS if re.fullmatch("[0-9]+", declared) else 0

    @property
    def content_type(self) -> str:
        return self._fields.get("content-type", "")

    @property
    def encoding(self) -> str:
        """Return what the body is packed with, in lower case: `identity` if nothing is said."""
        return self._fields.get("content-encoding", "identity").lower()

    @property
    def accepts_html(self) -> bool:
        """Tell whether the client asks for HTML by its name, as browsers do; `*/*` isn't enough.

        Java's own client names it, too, in words of which no browser's begin, and is a program.
        """
        if JAVAS_OWN.match(self._fields.get("accept", "")):
            return False
        for each in self._fields.get("accept", "").split(","):
            name, _, weight = each.partition(";")
            if name.strip().lower() == "text/html":
                return not NOT_AT_ALL.fullmatch(weight)
        return False

    @property
    def accepts_gzip(self) -> bool:
        """Tell whether the reply may be packed with gzip (RFC 9110, section 12.5.3)."""
        for each in self._fields.get("accept-encoding", "").split(","):
            name, _, weight = each.partition(";")
            if name.strip().lower() in ("gzip", "x-gzip"):
                return not NOT_AT_ALL.fullmatch(weight)
        return False

    # What a proxy adds. Of several values the last is the nearest proxy's, those before it are
    # whatever it was told.

    @property
    def came_by_proxy(self) -> bool:
        return "x-forwarded-proto" in self._fields

    @property
    def forwarded_for(self) -> str | None:
        """Return the address that the proxy was called from."""
        address = self._fields.get("x-forwarded-for", "").rpartition(",")[2].strip()
        try:
            return str(ipaddress.ip_address(address)) if address else None
        except ValueError:
            return None

    @property
    def forwarded_protocol(self) -> str | None:
        """Return how the proxy was called: http or https."""
        protocol = self._fields.get("x-forwarded-proto", "").rpartition(",")[2].strip()
        return protocol if protocol in ("http", "https") else None

    @property
    def forwarded_host(self) -> str | None:
        """Return the host and port that the proxy was called by."""
        return self._fields.get("x-forwarded-host", "").rpartition(",")[2].strip() or None


def site_of(origin: str) -> str | None:
    """Return host and port of an origin, as they stand in a Host header."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def host_and_port(host: str) -> tuple[str, int | None]:
    """Return name and port of a Host header; "" and None for what isn't there or isn't right."""
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname or ""
    except ValueError:
        return "", None
    try:
        return name, parts.port
    except ValueError:
        return name, None


def is_readable_host(host: str) -> bool:
    """Tell whether tornado can take `host` apart: a port of thousands of digits makes it fail."""
    return len(host) < ENDLESS_DIGITS or not ENDLESS_PORT.search(host)


def header_text(text: str) -> str:
    """Return `text` as a header can carry it.

    Control characters, ends of lines included, become a blank, and what Latin-1 doesn't have `?`.
    """
    return (
        re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", " ", text)
        .encode("latin-1", "replace")
        .decode("latin-1")
    )
