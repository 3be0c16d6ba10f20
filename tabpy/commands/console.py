"""What commands write to: a console, a pipe or a file, in whatever encoding it has."""

import contextlib
import io
import sys


def write_anything() -> None:
    """Have characters that standard output or error can't show appear as `\\u4e2d`.

    Windows gives a file or pipe an encoding of some two hundred characters, and an error for all
    others: a path with one would end the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not what a caller has put there
            with contextlib.suppress(ValueError):  # it is closed
                stream.reconfigure(errors="backslashreplace")
