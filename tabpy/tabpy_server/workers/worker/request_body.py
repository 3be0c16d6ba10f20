"""The script worker: a job's body, which is mapped memory if it is large."""

import mmap
import os
from typing import Any

from tabpy.tabpy_server import json_codec
from tabpy.tabpy_server.workers.worker import large_json

Body = bytes | memoryview | mmap.mmap


def mapped(descriptor: int) -> mmap.mmap:
    """Return what is in sealed memory, and close the descriptor. Raises OSError."""
    try:
        # Private, since kernels before 6.7 have sealed memory shared by nobody who could write.
        return mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)


def read(body: Body) -> Any:
    """Return what is in a JSON body, as `json_codec.loads` does, and raise what it raises. Mapped
    memory is let go of: what is made of it takes enough."""
    if not isinstance(body, mmap.mmap):
        return json_codec.loads(body)
    with body, memoryview(body) as text:
        return large_json.loads(text)
