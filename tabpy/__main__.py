"""`python -m tabpy` is the command `tabpy`."""

import sys

from tabpy.commands.serve import main

if __name__ == "__main__":
    sys.exit(main())
