"""The flight process: tables as streams of Arrow's IPC format, in memory.

What comes in is looked at to its last byte before it is kept. Arrow believes the lengths and
offsets in a batch: a wrong one would have it send somebody what lies beside the batch in memory.
"""

import io
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.errors import BadTableError
from tabpy.tabpy_server.memfd import Memory


def write(schema: Any, batches: Iterator[Any], grow: Callable[[int], None]) -> tuple[Memory, int]:
    """Return a table of these batches, sealed, and its rows. `grow` is told the bytes that it
    takes, and may raise. Raises BadTableError for a batch that isn't right."""
    made = memfd.empty("tabpy-table")
    rows = 0
    try:
        with (
            io.FileIO(os.dup(made.descriptor), "w") as file,
            pa.PythonFile(file, "w") as sink,
            pa.ipc.new_stream(sink, schema) as writer,
        ):
            for batch in batches:
                check(batch)
                grow(made.size + batch.nbytes)
                writer.write_batch(batch)
                rows += batch.num_rows
    except pa.ArrowCancelled:
        raise
    except (ValueError, OSError, pa.ArrowException) as error:  # its sender has gone, for one
        raise BadTableError(reason(error)) from None
    made.seal()
    return made, rows


def read(table: Memory) -> Any:
    """Return a reader of a sealed table. Its batches aren't copied. Raises BadTableError."""
    try:
        # Private, since kernels before 6.7 have sealed memory shared by nobody who could write.
        mapped = mmap.mmap(table.descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        return pa.ipc.open_stream(pa.py_buffer(mapped))
    except (ValueError, OSError, pa.ArrowException) as error:
        raise BadTableError(reason(error)) from None


def count_rows(table: Memory) -> int:
    """Return the rows of a table that a script made, after looking at all of it. Raises
    BadTableError."""
    reader, rows = read(table), 0
    try:
        for batch in reader:
            check(batch)
            rows += batch.num_rows
    except (ValueError, OSError, pa.ArrowException) as error:
        raise BadTableError(reason(error)) from None
    return rows


def check(batch: Any) -> None:
    """Raise BadTableError for a batch with wrong lengths or offsets."""
    try:
        batch.validate(full=True)
    except (ValueError, pa.ArrowException) as error:
        raise BadTableError(reason(error)) from None


def reason(error: BaseException) -> str:
    """Return what Arrow says of an error, in short."""
    return str(error).partition("\n")[0][:200]
