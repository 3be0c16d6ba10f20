"""On a node: finds out what of the confinement its kernel has, in a process of one thread.

It is one of its own since it forks, which an actor's process, with its threads, can't do safely.
"""

import dataclasses
import json
import sys

from tabpy.tabpy_server.script_rules import ScriptRules
from tabpy.tabpy_server.workers.fork_server.confining import find_parts, frozen

MODULE = "tabpy.tabpy_server.workers.ray.confinement_check"


def main() -> None:
    """Arguments: the rules, as JSON, and the folder for temporary ones. Prints the parts, as
    JSON."""
    rules, folder = json.loads(sys.argv[1]), sys.argv[2]
    found = find_parts(ScriptRules(**frozen(rules)), folder)
    sys.stdout.write(json.dumps(dataclasses.asdict(found)))


if __name__ == "__main__":
    main()
