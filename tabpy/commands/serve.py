"""The command `tabpy`: start the server.

Next to nothing is imported here: up to the first line of `main`, Python answers a Ctrl-C with a
traceback.
"""

import gc
import sys
from collections.abc import Sequence

from tabpy.commands.interrupt import leave_at_ctrl_c


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped; `argv` is without the program's name.

    Exit codes: 0 stopped, 2 for anything that was set wrongly, 130 interrupted before it served.
    """
    leave_at_ctrl_c()
    from tabpy.commands import server_packages

    if hindrance := server_packages.hindrance():
        print(f"tabpy: {hindrance}", file=sys.stderr)
        return 2
    gc.disable()  # of what is imported nothing goes: the processes look for garbage when they serve
    try:
        from tabpy.commands import start

        return start.main(argv)
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
