"""The server's processes, as the kernel knows them."""

import os
from pathlib import Path

PROC = Path("/proc")


def processes_by_role(flight: int = 0) -> dict[str, list[int]]:
    """Return the pids of the server's processes, as seen from a web process; nothing where there's
    no /proc. `flight`: the pid of the one that has Arrow tables, if there is one.

    Workers are the template's children, or those of a shelf, which counts as template.
    """
    arbiter = os.getppid()
    if not _children(arbiter):
        return {}
    roles: dict[str, list[int]] = {"arbiter": [arbiter], "web": [], "template": [], "worker": []}
    for child in _children(arbiter):
        if child == flight:
            roles["flight"] = [child]
            continue
        grandchildren = _children(child)
        if not grandchildren:
            roles["web"].append(child)
            continue
        roles["template"].append(child)
        for grandchild in grandchildren:
            workers = _children(grandchild)
            roles["template" if workers else "worker"].append(grandchild)
            roles["worker"] += workers
    return roles


def _children(pid: int) -> list[int]:
    try:
        text = (PROC / f"{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(each) for each in text.split()]
