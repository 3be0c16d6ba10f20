"""The address to check, in the terms of Tableau's connection dialogue."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


class TargetError(ValueError):
    """What is wrong with the URL, in one line."""


@dataclass(frozen=True)
class Target:
    """Host name, port and "require SSL": all that Tableau's dialogue can express of a URL."""

    host: str
    port: int
    ssl: bool

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.ssl else 'http'}://{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read `[http[s]://]host[:port][/]`; without a scheme it is https. Raises TargetError."""
        text = text.strip()
        try:
            parts = urlsplit(text if "://" in text else f"https://{text}")
            port = parts.port
        except ValueError as error:
            raise TargetError(f"{text!r} is no URL ({error}), write https://host:port") from error
        if parts.scheme not in _DEFAULT_PORTS:
            raise TargetError(f"Tableau speaks http and https, not {parts.scheme}")
        if "@" in parts.netloc:
            raise TargetError("user and password don't belong into the URL: give the user with -u")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            beyond = text.split("://")[-1][len(parts.netloc) :]
            raise TargetError(
                f"Tableau has no field for a path, so the server has to answer at the root of its "
                f"host name: leave {beyond!r} out"
            )
        host = parts.hostname or ""
        if port == 0 or not _nameable(host):
            raise TargetError(f"{text!r} names no host and port, write https://host:port")
        return cls(host, port or _DEFAULT_PORTS[parts.scheme], parts.scheme == "https")


def _nameable(host: str) -> bool:
    if not host or any(character.isspace() for character in host):
        return False
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True
