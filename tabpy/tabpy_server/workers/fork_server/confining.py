"""What workers may touch on this machine, from the arbiter that finds it out to the fork server."""

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabpy.tabpy_server.script_rules import InForce, ScriptRules
from tabpy.tabpy_server.workers.fork_server import script_folders
from tabpy.tabpy_server.workers.fork_server.linux import PR_SET_NO_NEW_PRIVS, prctl
from tabpy.tabpy_server.workers.worker import confinement
from tabpy.tabpy_server.workers.worker.landlock import Allowed


@dataclass(frozen=True)
class Confining:
    """`rules` for workers, the `parts` of them that this machine can keep, and the folder in which
    their temporary folders are made; "" where nobody keeps them to those."""

    rules: ScriptRules
    parts: InForce
    folder: str

    def open_all(self) -> list[Allowed]:
        """Open what all workers may touch now, which takes some milliseconds."""
        return confinement.open_all(self.rules) if self.parts.landlock else []

    def work_out(self, server: tuple[int, ...]) -> None:
        """Work out once what `enter` needs; see `confinement.work_out`."""
        confinement.work_out(self.rules, self.parts, server)

    def enter(self, allowed: Sequence[Allowed], folder: str, server: tuple[int, ...]) -> None:
        """Confine this process; see `confinement.enter`."""
        confinement.enter(self.rules, self.parts, allowed, folder, server)

    def for_loader(self) -> "Confining":
        """Return the same for a process that starts workers: there may be any number of them."""
        return dataclasses.replace(self, parts=dataclasses.replace(self.parts, processes=0))

    def argument(self) -> str:
        """Return it as one argument of a command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of_argument(cls, argument: str) -> "Confining":
        """Return what `argument` was made of."""
        fields = json.loads(argument)
        rules, parts = ScriptRules(**frozen(fields["rules"])), _in_force(fields["parts"])
        return cls(rules, parts, fields["folder"])


NOT_CONFINED = Confining(ScriptRules(confine=False), InForce(), "")


def prepare(rules: ScriptRules) -> Confining:
    """Find out what this machine has, in a process that tries it all and is thrown away.

    This process must have one thread: it forks. Raises OSError if there's no folder for temporary
    files.
    """
    if not rules.confine:
        return NOT_CONFINED
    folder = script_folders.make_root()
    parts = _try(rules, str(folder))
    if parts.landlock:
        return Confining(rules, parts, str(folder))
    folder.rmdir()
    return Confining(rules, parts, "")


def _try(rules: ScriptRules, folder: str) -> InForce:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(dataclasses.asdict(find_parts(rules, folder))).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answers:
        said = answers.read()
    os.waitpid(pid, 0)
    if not said:
        return InForce(missing=("the process that tried it was ended",))
    return _in_force(json.loads(said))


def find_parts(rules: ScriptRules, folder: str) -> InForce:
    """Return which parts of the confinement this machine has; this process, which tries them, is of
    no other use then. `folder`: one for temporary files."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    return confinement.find(rules, folder)


def _in_force(fields: dict[str, Any]) -> InForce:
    return InForce(**frozen(fields))


def frozen(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a dataclass's fields as they were before they were JSON."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
