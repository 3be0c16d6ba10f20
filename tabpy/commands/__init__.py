"""The commands, a module each.

Whichever is called, this is read first. A Python too old for the rest is told so in a line, so this
file and those that lead here have to be ones that any Python 3 reads.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - as somebody may have who calls `python -m tabpy`
    this = sys.version.split()[0]
    sys.stderr.write(
        f"tabpy: This is Python {this}; the server needs 3.11 or later, the client 3.10. Install "
        "one, then start .venv/bin/tabpy, which `make run` installs, or name it: python3.13 -m "
        "tabpy.\n"
    )
    sys.exit(2)
