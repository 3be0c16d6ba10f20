"""What may be written in a setting: a reader for each kind of value.

Each takes the text, without blanks around it, and raises ValueError that says what would be right.
An empty text is a value like any other: it means nothing, or nobody, or is refused.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.rights import ALL, Rights
from tabpy.tabpy_server.rights import parse as parse_rights

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
TLS_VERSIONS = ("TLSv1_2", "TLSv1_3")  # as Python's ssl.TLSVersion calls them
HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
VARIABLE = re.compile(r"[A-Za-z_*][A-Za-z0-9_.*()]*")
FLIGHT_SCHEMES = ("grpc", "grpc+tcp", "grpc+tls")  # arrow.apache.org/docs/format/Flight.html
POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")


def text(value: str) -> str:
    """Take anything; empty: not set."""
    return value


def flag(value: str) -> bool:
    """Read yes or no, in any of TabPy's spellings."""
    if value.lower() not in TRUE + FALSE:
        raise ValueError("true or false")
    return value.lower() in TRUE


def port(value: str) -> int:
    """Read a port's number."""
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ValueError("a port number from 1 to 65535")
    return int(value)


def flight_location(value: str) -> str:
    """Check where clients find Arrow Flight; empty: where they are connected."""
    try:
        parts = urlsplit(value)
        is_right = parts.scheme in FLIGHT_SCHEMES and parts.hostname and parts.port
    except ValueError:  # no number where the port should be
        is_right = False
    if value and (not is_right or value != f"{parts.scheme}://{parts.netloc}"):
        raise ValueError("grpc+tls://host:port or grpc+tcp://host:port, or nothing")
    return value


def own_address(value: str) -> str:
    """Read an address to listen on."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an address of this machine, such as 127.0.0.1 or ::1") from None


def proxies(value: str) -> str:
    """Check a list of addresses and networks, or `*` for everybody; empty: nobody."""
    for each in filter(None, map(str.strip, value.split(","))):
        try:
            if each != "*":
                ipaddress.ip_network(each)  # an address is a network of one
        except ValueError:
            raise ValueError(
                "addresses or networks (such as 10.0.0.0/8) separated by commas, or *"
            ) from None
    return value


def host_names(value: str) -> tuple[str, ...]:
    """Read names of hosts separated by commas, or `*` for all; empty: none."""
    names = tuple(name.strip().lower() for name in value.split(",") if name.strip())
    if not all(name == "*" or HOST_NAME.fullmatch(name) for name in names):
        raise ValueError(
            "names (such as tabpy.example.com, without http:// and port) separated by commas, or *"
        )
    return names


def positive(value: str) -> float:
    """Read a number above 0."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("a number above 0")
    return number


def positive_or_none(value: str) -> float:
    """Read a number above 0, or 0 for none."""
    try:
        return 0.0 if float(value) == 0 else positive(value)
    except ValueError:
        raise ValueError("a number above 0, or 0 for none") from None


def count(value: str) -> int:
    """Read a small whole number."""
    if not value.isdecimal() or not 0 < int(value) < 1000:
        raise ValueError("a whole number from 1 to 999")
    return int(value)


def protocol(value: str) -> str:
    """Read `http` or `https`, in any case."""
    if value.lower() not in ("http", "https"):
        raise ValueError("http or https")
    return value.lower()


def tls_version(value: str) -> str:
    """Read a version of TLS that is still thought safe, in any case."""
    for version in TLS_VERSIONS:
        if value.lower() == version.lower():
            return version
    raise ValueError(" or ".join(TLS_VERSIONS))


def level(value: str) -> str:
    """Read the name of a log level, in any case."""
    if value.upper() not in LEVELS:
        raise ValueError(f"one of {', '.join(LEVELS)}")
    return value.upper()


def isolation(value: str) -> Isolation:
    """Read whose scripts may share a worker, in any case."""
    try:
        return Isolation(value.lower())
    except ValueError:
        raise ValueError(f"one of {', '.join(Isolation)}") from None


def modules(value: str) -> tuple[str, ...]:
    """Read names of modules separated by commas; empty: none."""
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError("module names separated by commas")
    return names


def words(value: str) -> tuple[str, ...]:
    """Read words with commas or blanks between them; empty: none."""
    return tuple(dict.fromkeys(value.replace(",", " ").split()))


def rights(value: str) -> Rights:
    """Read what a user may do, with commas; empty: everything."""
    try:
        return parse_rights(value) if value else ALL
    except ValueError:
        raise ValueError(f"one or more of {', '.join(ALL)}, each once") from None


def postgres(value: str) -> str:
    """Check the URL of a Postgres database; empty: none."""
    scheme, _, rest = value.partition("://")
    if value and (scheme not in POSTGRES or not rest):
        raise ValueError("postgres://user:password@host/name, or nothing")
    return value


def path(value: str) -> Path:
    """Read a path that need not exist. `~` is the user's home."""
    if not value:  # which `Path` would take for the working folder
        raise ValueError("the path of a folder")
    return _expanded(value)


def _expanded(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("a path without ~: there is no such home") from None


def optional_path(value: str) -> Path | None:
    """Read a path that need not exist; empty: none."""
    return path(value) if value else None


def ray_address(value: str) -> str:
    """Check where a Ray cluster is; empty: not said."""
    host, _, number = value.rpartition(":")
    if value and (not host or "/" in host or not number.isdecimal()):
        raise ValueError(
            "host:port of the cluster's head node, such as ray-head:6379 (ray:// is too slow: have "
            "a node of the cluster beside the server)"
        )
    return value


def paths(value: str) -> tuple[str, ...]:
    """Read paths with `:` between them (`;` on Windows); empty: none."""
    found = tuple(str(_expanded(each.strip())) for each in value.split(os.pathsep) if each.strip())
    for each in found:
        if not Path(each).is_absolute():
            raise ValueError(f"absolute paths with '{os.pathsep}' between them")
    return found


def variables(value: str) -> tuple[str, ...]:
    """Read names of environment variables separated by commas, with `*` for any characters; empty:
    none. The server's own can't be named."""
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not all(VARIABLE.fullmatch(name) for name in names):
        raise ValueError("names of variables separated by commas, * for any characters")
    if any(name.upper().startswith("TABPY_") for name in names):
        raise ValueError("names that don't begin with TABPY_: those are the server's own")
    return names


def one_of(*allowed: str) -> Callable[[str], str]:
    """Read one of some words, in any case."""

    def read(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return value.lower()

    return read


def folder(value: str) -> Path:
    """Read the path of a folder that is there."""
    found = _expanded(value)
    if not value or not found.is_dir():
        raise ValueError("a folder that exists")
    return found
