"""What a script may put under the name of an archive, since it runs as the same user."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

SECRET = b"the server's secret"

Swap = Callable[[Path], object]


def _instead(make: Swap) -> Swap:
    def swap(path: Path) -> None:
        path.unlink()
        make(path)

    return swap


def _link_to_secret(path: Path) -> None:
    secret = path.parent.parent / "secret"
    secret.write_bytes(SECRET)
    path.symlink_to(secret)


def _other_file(path: Path) -> None:
    """In the place of the first one, which somebody may have open."""
    other = path.with_name("other")
    other.write_bytes(SECRET)
    other.replace(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{folder}/{path.name}")  # a socket's path is short
        os.close(folder)


def _device(path: Path) -> None:
    os.mknod(path, 0o20600, os.makedev(1, 5))  # /dev/zero, which never ends


SWAPS: dict[str, Swap] = {
    "nothing": lambda path: path.unlink(),
    "a link to a secret": _instead(_link_to_secret),
    "a link to an environment": _instead(lambda path: path.symlink_to("/proc/self/environ")),
    "a link to a device": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a FIFO": _instead(os.mkfifo),
    "a folder": _instead(lambda path: (path / "in it").mkdir(parents=True)),
    "a socket": _instead(_socket),
    "another file": _other_file,
}
NEEDS_ROOT = {"a device": _instead(_device)}

swaps = pytest.mark.parametrize(
    "swap",
    [
        *(pytest.param(swap, id=name) for name, swap in SWAPS.items()),
        *(
            pytest.param(
                swap,
                id=name,
                marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices"),
            )
            for name, swap in NEEDS_ROOT.items()
        ),
    ],
)
