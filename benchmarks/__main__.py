"""`python -m benchmarks [figure ...] [--json FILE] [--peer FOLDER]`."""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import (
    confinement,
    crowd,
    endpoints,
    figures,
    flight,
    large,
    memory,
    peer,
    ray_cluster,
    start,
)
from benchmarks.report import Row, as_json, table
from benchmarks.servers import Kind, exit_on_sigterm

FIGURES = {
    "small": figures.small,
    "info": figures.info,
    "million": figures.million,
    "mixed": large.mixed,
    "streaming": large.streaming,
    "busy": figures.busy,
    "memory": memory.memory,
    "start": start.start,
    "client": start.client_import,
    "deploy": endpoints.deploy,
    "query": endpoints.query,
    "evaluate-query": endpoints.evaluate_query,
    "confinement": confinement.confinement,
    "crowd": crowd.crowd,
    "flight": flight.flight,
    "ray": ray_cluster.ray_cluster,
}


def main() -> int:
    """Measure what was asked for, all of it by default; 1 when a server answered wrongly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="figure", help=", ".join(FIGURES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--peer", type=Path, metavar="FOLDER", help=f"an environment with TabPy {peer.VERSION}"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.figures) - set(FIGURES))
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    if sys.platform != "linux":
        parser.error("the benchmarks read memory from Linux's /proc; run them there")

    exit_on_sigterm()
    peer_commands = peer.commands(options.peer)
    measured_on = machine()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        ours = Kind.prepare("ours", Path(sys.executable).parent, Path(name))
        theirs = Kind.prepare("tabpy", peer_commands, Path(name))
        for figure in options.figures or FIGURES:
            print(f"measuring {figure} ...", file=sys.stderr)
            rows += FIGURES[figure](ours, theirs)
    print(table(rows))
    if options.json:
        document = {"machine": measured_on, "figures": as_json(rows)}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(any(each.failed for each in rows))


def machine() -> dict[str, object]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "ours": importlib.metadata.version("tabpy"),
        "tabpy": peer.VERSION,
    }


if __name__ == "__main__":
    sys.exit(main())
