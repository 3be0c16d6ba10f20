"""The script worker: Arrow tables, as scripts get and return them.

The table lies in memory that nobody can change, and the result goes to memory that can't grow
beyond what a table may have: both came from the web process as descriptors.
"""

import io
import mmap
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_tools.unfit import UnfitError, an

ROWS = 1 << 16  # in each batch: clients get a large table in pieces
BETTER = "a DataFrame, a dictionary of columns, or None"
MB = 1 << 20


class Tables:
    """One job's table, and the result that takes its place; a context that lets go of both."""

    def __init__(self, ask: Callable[[str], list[int]]) -> None:
        """`ask` returns two descriptors, of the table of a path and for the result."""
        self._ask = ask
        self._descriptors: list[int] = []

    def __enter__(self) -> "Tables":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def get(self, path: str) -> Any:
        """Return the table of that path as a DataFrame. Raises TabPyError, and MemoryError."""
        self._descriptors = self._ask(path)
        # Private and writable: a script may change the values, and nobody else sees it.
        mapped = mmap.mmap(
            self._descriptors[0],
            0,
            flags=mmap.MAP_PRIVATE,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
        )
        return _data_frame(mapped)

    def put(self, returned: Any) -> bytes:
        """Write what a script returned, a DataFrame or a dictionary of columns; None is no table.
        Return the reply's body. Raises UnfitError for anything else."""
        _, result = self._descriptors
        limit = os.fstat(result).st_size
        if returned is not None:
            _write(_table(returned), result, limit)
        os.truncate(result, os.lseek(result, 0, os.SEEK_CUR))
        return b"null"


def _data_frame(mapped: mmap.mmap) -> Any:
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(pa.py_buffer(mapped)).read_all()
        return table.to_pandas(use_threads=False)  # threads would stay
    except MemoryError:
        raise
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError("The table can't be a DataFrame.", _text(error)) from None


def _write(table: Any, result: int, limit: int) -> None:
    import pyarrow as pa

    try:
        with (
            io.FileIO(result, "w", closefd=False) as file,
            pa.PythonFile(file, "w") as sink,
            pa.ipc.new_stream(sink, table.schema) as writer,
        ):
            writer.write_table(table, max_chunksize=ROWS)
    except OSError:  # the kernel refuses what goes beyond its end
        raise UnfitError(
            f"a table of {table.nbytes / MB:.0f} MB",
            f"one of less than {limit / MB:.0f} MB (half of TABPY_ARROW_MEMORY_MB)",
        ) from None
    except pa.ArrowException as error:
        raise _unfit(error) from None


def _table(returned: Any) -> Any:
    """Return a value as an Arrow table, NaN as null. Raises UnfitError."""
    import pandas as pd
    import pyarrow as pa

    try:
        if isinstance(returned, pa.Table):
            return returned
        if isinstance(returned, pd.DataFrame):
            return pa.Table.from_pandas(returned, nthreads=1)
        if isinstance(returned, Mapping):
            columns = {name: pa.array(each, from_pandas=True) for name, each in returned.items()}
            return pa.table(columns)
    except Exception as error:  # noqa: BLE001 - what the script returned raises what it likes
        raise _unfit(error) from None
    raise UnfitError(an(type(returned).__name__), BETTER)


def _unfit(error: Exception) -> UnfitError:
    """Return what the script's author is told; Arrow's own classes would tell them nothing."""
    import pyarrow as pa

    of_arrow = isinstance(error, pa.ArrowException) and not isinstance(error, MemoryError)
    return UnfitError(cause=TypeError(_text(error)) if of_arrow else error)


def _text(error: Exception) -> str:
    return " ".join(map(str, error.args))
