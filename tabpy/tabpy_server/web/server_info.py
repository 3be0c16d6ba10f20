"""What the server says of itself, some of it from TabPy's `state.ini`."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabpy import __version__
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.web.headers import header_text

CORS = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
)


@dataclass(frozen=True)
class Service:
    """What a server is called, where it lies, and which other sites may use it.

    `creation_time` is a string of seconds since 1970; `prefix` is "" or "/something".
    """

    name: str = "TabPy Server"
    description: str = ""
    creation_time: str = "0"
    prefix: str = ""
    cors: Mapping[str, str] = field(default_factory=dict)

    def challenge(self, scheme: str, **parameters: str) -> str:
        """Return a WWW-Authenticate header (RFC 7617, RFC 6750), which names the service."""
        named = {"realm": self.name, **parameters}
        return f"{scheme} " + ", ".join(f'{key}="{_quoted(text)}"' for key, text in named.items())

    def info(
        self, *, methods: Mapping[str, object], evaluate: bool, gzip: bool, arrow: bool
    ) -> dict[str, Any]:
        """Return what `GET /info` answers; `methods`: how to sign in. That `authentication` is
        there makes Tableau ask for a password, so it must not be where none is needed."""
        features: dict[str, Any] = {
            "evaluate_enabled": evaluate,
            "gzip_enabled": gzip,
            "arrow_enabled": arrow,
        }
        if methods:
            features["authentication"] = {"required": True, "methods": dict(methods)}
        return {
            "description": self.description,
            "creation_time": self.creation_time,
            "state_path": "",  # where the server keeps its files is nobody's business
            "server_version": __version__,
            "name": self.name,
            "versions": {"v1": {"features": features}},
        }


def _quoted(text: str) -> str:
    return header_text(text).replace("\\", "\\\\").replace('"', "'")


def read(state_path: Path) -> Service:
    """Return the service as `state.ini` in `state_path` describes it, if there is one.

    Raises StartError for a file that can't be read or used.
    """
    file = state_path / "state.ini"
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = str(error).replace("\n", " ")
        raise StartError(f"TABPY_STATE_PATH: {file} can't be read: {reason}") from None
    if not parser.has_section("Service Info"):
        return Service()
    section = parser["Service Info"]
    prefix = section.get("Subdirectory", "").strip("/ ")
    return Service(
        name=section.get("Name") or Service.name,
        description=section.get("Description", ""),
        creation_time=section.get("Creation Time") or "0",
        prefix=f"/{prefix}" if prefix else "",
        cors={
            header: _cors(section[header], header, file) for header in CORS if section.get(header)
        },
    )


def _cors(value: str, header: str, file: Path) -> str:
    """Return `value` on one line. Raises StartError for what no header can carry."""
    text = value.replace("\n", " ")
    if text != header_text(text):
        raise StartError(
            f"TABPY_STATE_PATH: {header} is '{header_text(text)}' in {file}: expected printable "
            "Latin-1 characters."
        )
    return text
