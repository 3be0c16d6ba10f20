"""Log lines of processes that have no logging: scripts would inherit whatever was set up."""

import sys
import time
import traceback

from tabpy.tabpy_server.log_format import quote


def report(level: str, message: str, error: BaseException | None = None) -> None:
    """Write a logfmt line to standard output, with the traceback of `error`."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f"time={moment} level={level} msg={quote(message)}"
    if error is not None:
        line += f" trace={quote(''.join(traceback.format_exception(error)))}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
