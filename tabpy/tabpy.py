"""`python -m tabpy.tabpy` is the command `tabpy`, as in TabPy."""

import sys

from tabpy import __version__
from tabpy.commands.serve import main

__all__ = ["__version__", "main"]

if __name__ == "__main__":
    sys.exit(main())
