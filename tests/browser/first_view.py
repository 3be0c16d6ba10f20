"""Says how soon the first view is there: `python -m tests.browser.first_view`.

By a browser that has kept nothing, on this machine, from a server that is at rest.
"""

import statistics
from typing import Any

from playwright.sync_api import Page

from tests.browser.pictures import HOST, KEPT, served, signed_in

TURNS = 15


def entries(page: Page, kind: str) -> list[dict[str, Any]]:
    """What the browser has measured of this view: `navigation` of itself, `resource` of its files.
    https://www.w3.org/TR/resource-timing/"""
    found = page.evaluate(f"performance.getEntriesByType('{kind}').map(each => each.toJSON())")
    return list(found)


def sizes(page: Page) -> list[int]:
    """How many bytes came for the view and its files, as they are packed."""
    return [
        each["transferSize"] for each in entries(page, "navigation") + entries(page, "resource")
    ]


def main() -> None:
    """Print the median and the most of some turns, each in a context of its own."""
    with served(KEPT) as server:
        taken = []
        for _ in range(TURNS):
            with signed_in(server) as page:
                page.goto(f"http://{HOST}/", wait_until="load")
                [view] = entries(page, "navigation")
                taken.append(view["domContentLoadedEventEnd"])
                size = sum(sizes(page))
    print(
        f"the first view: {statistics.median(taken):.0f} ms, at most {max(taken):.0f} ms in "
        f"{TURNS} turns; {size / 1000:.0f} kB"
    )


if __name__ == "__main__":
    main()
