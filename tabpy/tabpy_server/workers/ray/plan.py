"""What the web process tells a node of the workers that it wants there."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """`preload`: modules to import. `memory_mb`: what a script may take. `confine`: whether scripts
    are kept to what they may touch, with the paths that they may `read` and `write` beside the
    node's own, and whether they may use the `network`. `variables`: what scripts find in
    `os.environ` beside what the node has there."""

    preload: tuple[str, ...]
    memory_mb: float
    confine: bool
    read: tuple[str, ...]
    write: tuple[str, ...]
    network: bool
    variables: Mapping[str, str]
