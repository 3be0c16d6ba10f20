"""`python -m tests.storm [--rounds N] [--seed N] [--postgres]`: kill processes at random.

A server with two web processes is under load from several clients, and in each round one of its
processes, or all of a kind, get a signal that ends or stops them. Says what was wrong: an answer
that is, an error that no document has, a deployment that was acknowledged and is lost, a server
that doesn't recover, a process that is left.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.servers import exit_on_sigterm
from tests.attacks.house import adopting_orphans
from tests.postgres import Postgres
from tests.storm.record import NO_ANSWER
from tests.storm.storm import Storm
from tests.storm.strikes import strikes


def main() -> int:
    """0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), metavar="N")
    parser.add_argument("--postgres", action="store_true", help="keep functions in a real Postgres")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("the storm needs the processes that there are on Linux; run it there")
    exit_on_sigterm()
    print(f"seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    began = time.monotonic()
    with database(folder / "pg", options.postgres) as settings, adopting_orphans():
        (folder / "servers").mkdir()
        storm = Storm(folder / "servers", settings)
        try:
            storm.run(strikes(options.seed, options.rounds))
        except (AssertionError, *NO_ANSWER) as error:
            storm.record.complain(f"{type(error).__name__}: {error}")
        finally:
            storm.close()
    print(summary(storm))
    print(f"seed {options.seed}, {options.rounds} rounds, {time.monotonic() - began:.0f} s")
    if storm.record.wrong:
        print(f"{len(storm.record.wrong)} things were wrong; logs are in {folder}")
    else:
        shutil.rmtree(folder)
    return int(bool(storm.record.wrong))


@contextmanager
def database(folder: Path, postgres: bool) -> Iterator[dict[str, str]]:
    """What a server needs to be told to keep its functions there: SQLite needs nothing."""
    if not postgres:
        yield {}
        return
    folder.mkdir()
    running = Postgres(folder)
    yield {"TABPY_DATABASE_URL": running.new_database()}
    running.stop()


def summary(storm: Storm) -> str:
    acknowledged = sum(each.acknowledged for each in storm.histories.values())
    return "\n".join(
        [
            *(f"{count:8,} {answer}" for answer, count in sorted(storm.record.answers.items())),
            *(f"{took:8.1f} s at most after {kind}" for kind, took in storm.slowest.items()),
            f"{acknowledged:,} deployments acknowledged, {len(storm.record.wrong)} things wrong",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
