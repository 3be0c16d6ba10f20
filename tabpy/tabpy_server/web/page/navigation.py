"""Where the page's views are, and which of them somebody has a use for."""

from collections.abc import Collection
from dataclasses import dataclass

from tabpy.tabpy_server.rights import EVALUATE


@dataclass(frozen=True)
class Entry:
    """A view: its address below the server's root, how it is called, the right that it is for."""

    path: str
    label: str
    right: str | None = None


STATUS = Entry("", "Status")
CONNECT = Entry("page/connect", "Connect Tableau")
FUNCTIONS = Entry("page/functions", "Functions")
TRY_IT = Entry("page/try", "Try it", EVALUATE)
ACTIVITY = Entry("page/activity", "Activity")
PACKAGES = Entry("page/packages", "Packages")
REFERENCE = Entry("page/reference", "Reference")

ENTRIES = (STATUS, CONNECT, FUNCTIONS, TRY_IT, ACTIVITY, PACKAGES, REFERENCE)


def entries_for(rights: Collection[str], *, evaluates: bool) -> list[Entry]:
    """Return what somebody with these rights is offered. `evaluates`: the server runs scripts."""
    usable = {*rights} if evaluates else {*rights} - {EVALUATE}
    return [each for each in ENTRIES if each.right is None or each.right in usable]
