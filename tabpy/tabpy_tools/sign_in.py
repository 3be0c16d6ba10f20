"""Who signs in where nobody has said it: from the environment, or from .netrc."""

import netrc
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tabpy.tabpy_tools.address import base_url


@dataclass(frozen=True)
class User:
    """A user name and its password."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Token:
    """A bearer token."""

    text: str = field(repr=False)


def address(environ: Mapping[str, str]) -> str:
    """Return the server's address that the environment has. Raises ValueError where it has none."""
    if not (url := environ.get("TABPY_URL")):
        raise ValueError(
            "Which server? Give its address, such as Client('http://localhost:9004'), or set "
            "TABPY_URL."
        )
    try:
        return base_url(url)
    except ValueError as error:
        raise ValueError(f"TABPY_URL: {error}") from None


def from_environment(url: str, environ: Mapping[str, str]) -> User | Token | None:
    """Return the user of TABPY_USERNAME and TABPY_PASSWORD, or the token of TABPY_TOKEN.

    They are for the server of TABPY_URL, so there is None for any other `url`, as there is where
    nothing is set: no password goes where nobody meant it to. One that isn't set may be in .netrc.
    Raises ValueError that names what is missing, or contradicts.
    """
    own = environ.get("TABPY_URL")
    if not own or base_url(own) != base_url(url):
        return None
    token = environ.get("TABPY_TOKEN")
    name, password = environ.get("TABPY_USERNAME"), environ.get("TABPY_PASSWORD")
    if token and name:
        raise ValueError(
            "TABPY_TOKEN and TABPY_USERNAME are both set, and a request has room for one of them: "
            "unset the other."
        )
    if token:
        return Token(token)
    if name:
        found = password_of(name, url, environ)
        if not found:
            raise ValueError(
                f"TABPY_USERNAME is set, but no password: set TABPY_PASSWORD, or add the line "
                f"'machine {_host(url)} login {name} password ...' to ~/.netrc."
            )
        return User(name, found)
    if password:
        raise ValueError("TABPY_PASSWORD is set, but TABPY_USERNAME isn't: set both.")
    return None


def password_of(name: str, url: str, environ: Mapping[str, str]) -> str | None:
    """Return the password of this user at this server, or None: that of TABPY_PASSWORD, unless the
    environment means another user or server, else what .netrc has.

    Raises ValueError for a .netrc that can't be used.
    """
    password, own = environ.get("TABPY_PASSWORD"), environ.get("TABPY_URL")
    is_own = not own or base_url(own) == base_url(url)
    if password and is_own and environ.get("TABPY_USERNAME") in (None, "", name):
        return password
    found = from_netrc(url, environ)
    return found.password if found is not None and found.name == name else None


def from_netrc(url: str, environ: Mapping[str, str]) -> User | None:
    """Return the user that ~/.netrc, or the file that NETRC names, has for this server's host.

    Raises ValueError for a file that can't be read, or, as Python has it for ~/.netrc, one that
    others may read.
    """
    named = environ.get("NETRC")
    shown = named or "~/.netrc"
    try:
        entries = netrc.netrc(named or None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{shown} can't be read: {error.strerror}.") from None
    except netrc.NetrcParseError as error:
        if "~/.netrc" in error.msg:  # Python's words on who may read it
            why = f"{error.msg}. chmod 600 makes it yours alone"
        else:  # its words on anything else may have a part of a password in them
            why = f"about line {error.lineno} it isn't as it has to be"
        raise ValueError(f"{shown} isn't used: {why}.") from None
    except UnicodeError:  # whose text would show what stands there
        raise ValueError(f"{shown} isn't used: it has to be UTF-8.") from None
    login, _, password = entries.authenticators(_host(url)) or (None, None, None)
    return User(login, password) if login and password else None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
