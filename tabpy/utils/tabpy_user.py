"""`python -m tabpy.utils.tabpy_user` is the command `tabpy-user`, as in TabPy."""

import sys

from tabpy.commands.user import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
