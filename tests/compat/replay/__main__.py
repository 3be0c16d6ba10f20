"""`python -m tests.compat.replay [--all]`: what TabPy replies and what this server does.

Ends with 1 when a difference has no reason.
"""

import argparse
import sys
from collections.abc import Sequence

from tests.compat.replay.exchange import Exchange
from tests.compat.replay.requested import Everywhere, everywhere, requests
from tests.compat.replay.servers import exchanged

WIDTHS = (44, 44, 44)  # of the first columns


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compat.replay", description=__doc__)
    parser.add_argument("--all", action="store_true", help="also the requests replied to alike")
    options = parser.parse_args()
    rules = everywhere()
    exchanges = exchanged(requests())
    print(line("request", "TabPy", "here", "why, in docs/"))
    group = ""
    for each in exchanges:
        own = each.own(rules)
        if not (own or options.all):
            continue
        if each.request.group != group:
            group = each.request.group
            print(f"\n{group}")
        why = section(each) if own else ""
        print(line(f"  {each.request.name}", each.theirs.summary, each.ours.summary, why))
        for difference in [] if each.theirs.status != each.ours.status else own:
            print(f"      {difference}")
    return summary(exchanges, rules)


def section(exchange: Exchange) -> str:
    why = exchange.request.why or "?"
    return f"from-tabpy.md{why}" if why.startswith("#") else why


def line(*cells: str) -> str:
    columns = zip(cells[:-1], WIDTHS, strict=True)
    cut = [cell.replace("\n", " ")[:width].ljust(width) for cell, width in columns]
    return " ".join([*cut, cells[-1]])


def summary(exchanges: Sequence[Exchange], rules: Sequence[Everywhere]) -> int:
    differ = sum(bool(each.own(rules)) for each in exchanges)
    print(f"\n{len(exchanges)} requests, {len(exchanges) - differ} replied to alike.")
    failed = False
    for each in exchanges:
        if unexplained := each.unexplained(rules):
            failed = True
            print(f"No reason: {each.request.group}, {each.request.name}: {unexplained}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
