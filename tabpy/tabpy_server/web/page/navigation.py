"""Where the page's views are, and which of them somebody has a use for."""

from collections.abc import Collection
from dataclasses import dataclass

from tabpy.tabpy_server.rights import EVALUATE


@dataclass(frozen=True)
class Entry:
    """A view: its address below the server's root, how it is called, what it is good for, where to
    read more (a document, and the id of a heading), the right that it needs."""

    path: str
    label: str
    purpose: str = ""
    more: str = ""
    right: str | None = None


STATUS = Entry("", "Status", more="operating#the-page")
CONNECT = Entry(
    "page/connect",
    "Connect Tableau",
    "The values to type, and the test it makes",
    more="deploying#tableau-server-and-desktop-on-a-company-network",
)
FUNCTIONS = Entry(
    "page/functions",
    "Functions",
    "What is deployed, and calculations to paste",
    more="client",
)
TRY_IT = Entry(
    "page/try",
    "Try it",
    "Run a script as a calculation does",
    more="rest#post-evaluate",
    right=EVALUATE,
)
ACTIVITY = Entry(
    "page/activity",
    "Activity",
    "What the server is doing, and what failed",
    more="operating#activity",
)
PACKAGES = Entry(
    "page/packages",
    "Packages",
    "What scripts can import, and how to add more",
    more="deploying#add-python-packages",
)
REFERENCE = Entry("page/reference", "Reference", "Every route, for programs", more="rest")
DOCUMENTATION = Entry("page/docs", "Documentation", "How to deploy, operate and set it")

ENTRIES = (
    STATUS,
    CONNECT,
    FUNCTIONS,
    TRY_IT,
    ACTIVITY,
    PACKAGES,
    REFERENCE,
    DOCUMENTATION,
)


def entries_for(rights: Collection[str], *, evaluates: bool) -> list[Entry]:
    """Return what somebody with these rights is offered. `evaluates`: the server runs scripts."""
    usable = {*rights} if evaluates else {*rights} - {EVALUATE}
    return [each for each in ENTRIES if each.right is None or each.right in usable]
