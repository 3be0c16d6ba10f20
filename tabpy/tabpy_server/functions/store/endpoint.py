"""What is known of a deployed function."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tabpy.tabpy_server.errors import RequestError

MODEL, ALIAS = "model", "alias"


@dataclass(frozen=True)
class EndpointMetadata:
    """What people say about an endpoint. `schema` is what they gave, usually JSON Schemas;
    `target` is an alias's endpoint and None for a model."""

    type: str = MODEL
    description: str = ""
    docstring: str = ""
    methods: list[Any] = field(default_factory=list)
    dependencies: list[Any] = field(default_factory=list)
    target: str | None = None
    schema: Any = None
    is_public: bool = False


@dataclass(frozen=True)
class ArchiveInfo:
    """One version's code. `sha256` is of the archive, `size` its bytes; `python` and `packages`
    are the versions it was made with, as far as known; `origin` tells where a version came from
    that nobody sent, such as a file of the checkout."""

    sha256: str
    size: int
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    requirements: list[str] = field(default_factory=list)
    origin: str = ""


@dataclass(frozen=True)
class Endpoint:
    """A public name and what stands behind it now; times are seconds since 1970."""

    name: str
    version: int
    description: EndpointMetadata
    code: ArchiveInfo | None
    creation_time: int
    last_modified_time: int

    def info(self) -> dict[str, Any]:
        """As `GET /endpoints` answers."""
        return {
            **asdict(self.description),
            "version": self.version,
            "creation_time": self.creation_time,
            "last_modified_time": self.last_modified_time,
        }


@dataclass(frozen=True)
class Version:
    """A version that can be brought back."""

    version: int
    code: ArchiveInfo
    creation_time: int

    def info(self) -> dict[str, Any]:
        return {"version": self.version, "creation_time": self.creation_time, **asdict(self.code)}


def exists(name: str) -> RequestError:
    return RequestError(
        400,
        f"Endpoint '{name}' exists already.",
        f"PUT /endpoints/{name} replaces it (the client: override=True).",
    )


def unknown(name: str) -> RequestError:
    return RequestError(404, "Unknown endpoint", f"There is no endpoint '{name}'.")
