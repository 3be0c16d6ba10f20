"""`python tabpy/models/deploy_models.py tabpy.conf` is the command `tabpy-deploy-models`."""

import sys

from tabpy.commands.deploy_models import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
