"""GET /packages: what scripts and functions can import here, to read and for pip."""

import platform
from functools import lru_cache
from importlib import metadata

from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import PACKAGES, TEXT


class PackagesHandler(BaseHandler):
    route = "/packages"

    @operation("List what scripts can import", Reply(200, "Names and versions", PACKAGES))
    def get(self) -> None:
        self.write_json({"python": platform.python_version(), "packages": installed()})


class ConstraintsHandler(BaseHandler):
    route = "/packages/constraints.txt"

    @operation(
        "List what scripts can import, for `pip install -c`",
        Reply(200, "A line `name==version` for each", TEXT, content_type="text/plain"),
    )
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(constraints(installed()))


@lru_cache(maxsize=1)
def installed() -> dict[str, str]:
    """Return distributions and their versions; they don't change while a server runs."""
    found: dict[str, str] = {}
    for each in metadata.distributions():
        if name := each.metadata["Name"]:
            found.setdefault(name, each.version)  # the first on the path is what is imported
    return dict(sorted(found.items()))


def constraints(packages: dict[str, str]) -> str:
    """Return them in pip's form, for an environment that is to have the same.

    Without what pip couldn't read, and without `tabpy`: a notebook has the client, which isn't of
    the server's version always. A local version, such as torch's `2.9.0+cpu`, counts as its public
    one, which the index of packages has.
    """
    from packaging.version import InvalidVersion, Version

    lines = [f"# Python {platform.python_version()}"]
    for name, version in packages.items():
        try:
            public = Version(version).public
        except InvalidVersion:
            continue
        if name != "tabpy":
            lines.append(f"{name}=={public}")
    return "\n".join([*lines, ""])
