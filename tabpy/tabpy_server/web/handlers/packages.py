"""GET /packages: what scripts and functions can import here."""

import platform
from functools import lru_cache
from importlib import metadata

from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import PACKAGES


class PackagesHandler(BaseHandler):
    route = "/packages"

    @operation("List what scripts can import", Reply(200, "Names and versions", PACKAGES))
    def get(self) -> None:
        self.write_json({"python": platform.python_version(), "packages": installed()})


@lru_cache(maxsize=1)
def installed() -> dict[str, str]:
    """Return distributions and their versions; they don't change while a server runs."""
    found = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    return dict(sorted((name, version) for name, version in found.items() if name))
