"""The web process: where a worker comes from that has models from the start."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where a worker comes from that is to be `owner`'s: the shelf with that `key`, and the
    `origin` of what it gives."""

    owner: str | None
    key: str
    origin: str
