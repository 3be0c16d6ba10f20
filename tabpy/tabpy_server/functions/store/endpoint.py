"""What is known of a deployed function."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """The archive of one version. `sha256` is of its bytes, `size` their number; `python` and
    `packages` are the versions it was made with, as far as known; `origin` tells where a version
    came from that nobody sent, such as a file of the checkout."""

    sha256: str
    size: int
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    requirements: list[str] = field(default_factory=list)
    origin: str = ""


@dataclass(frozen=True)
class Endpoint:
    """A public name and what stands behind it now; an alias has no `archive`. Times are seconds
    since 1970.

    `pure`: the author of this version says that its result follows from its arguments alone, and
    that nobody can tell whether it has run. An alias is as pure as its target, and has False here.
    """

    name: str
    version: int
    metadata: EndpointMetadata
    archive: ArchiveInfo | None
    creation_time: int
    last_modified_time: int
    pure: bool = False

    def info(self) -> dict[str, Any]:
        """Return what `GET /endpoints` answers."""
        return {
            **vars(self.metadata),  # not asdict: it copies a schema of megabytes, part by part
            "pure": self.pure,
            "version": self.version,
            "creation_time": self.creation_time,
            "last_modified_time": self.last_modified_time,
        }


@dataclass(frozen=True)
class Version:
    """A version that can be brought back; the time is seconds since 1970. `author` is the name of
    who deployed it; None where nobody had signed in, or it isn't known. `pure`: see `Endpoint`."""

    version: int
    archive: ArchiveInfo
    creation_time: int
    author: str | None
    pure: bool = False

    def info(self) -> dict[str, Any]:
        """Return one entry of the versions that are kept, for the one who asks for them."""
        return {
            "version": self.version,
            "creation_time": self.creation_time,
            "author": self.author,
            "pure": self.pure,
            **vars(self.archive),
        }
