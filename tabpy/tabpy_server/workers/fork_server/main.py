"""The fork server's process: imports the heavy libraries once, then forks workers in ~20 ms.

It is a fresh interpreter with a clean environment, so nothing of the server's memory (settings,
credentials, other people's requests) is within a script's reach. It serves every web process of
the machine: each asks through one shared socket, passing along the worker's end of a private
socket pair.

Importing pandas takes longer than all the rest of the start, so meanwhile another one, forked from
it, answers in its place. `ForkServerState` says who answers now, and pools recycle the workers of
the others. A small dyno has no room for that: there, whoever comes first waits for the imports.
"""

import gc
import os
import signal
import socket
import sys
from pathlib import Path

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.process_memory import share_arenas
from tabpy.tabpy_server.workers.fork_server.confining import Confining
from tabpy.tabpy_server.workers.fork_server.linux import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    die_with_parent,
    prctl,
)
from tabpy.tabpy_server.workers.fork_server.report import report
from tabpy.tabpy_server.workers.fork_server.root import RootForkServer
from tabpy.tabpy_server.workers.fork_server.script_folders import remove
from tabpy.tabpy_server.workers.fork_server.server import Common, ForkServer, Origin
from tabpy.tabpy_server.workers.fork_server_state import ForkServerState
from tabpy.tabpy_server.workers.protocol import LEAVE, READY
from tabpy.tabpy_server.workers.worker.preload import preload


class ColdForkServer(ForkServer):
    """Answers while its parent imports; makes no shelves."""

    def __init__(
        self, common: Common, origin: Origin, requests: socket.socket, state: ForkServerState
    ) -> None:
        super().__init__(common, origin, requests)
        self._state = state

    def become_child(self, parent: int) -> None:
        super().become_child(parent)
        self._state.close()


def fork_cold(common: Common, requests: socket.socket, state: ForkServerState) -> int | None:
    """Have a child answer from now on, and return its pid; None if that can't be, and callers have
    to wait."""
    origin = state.new_origin()
    own_pid = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        report("warning", f"Nobody answers while modules are imported: {error.strerror}")
        return None
    if pid == 0:
        try:
            die_with_parent(own_pid)
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            ColdForkServer(common, Origin(origin), requests, state).run()
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            report("error", "The cold fork server failed.", error)
        finally:
            os._exit(0)
    state.set_origin(origin)
    return pid


def main() -> None:
    """Serve until nobody is left who could ask.

    Arguments: the descriptors of the requests' socket, the pipe that says when it's ready and the
    state's memory; MB that a worker may take; MB of models on all shelves; what workers may touch;
    the modules to import.
    """
    requests_fd, ready_fd, state_fd, memory_mb, shelves_mb, confining, *modules = sys.argv[1:]
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, LEAVE):
        # The web process is the one to drain; the fork server leaves when nobody is left to ask.
        signal.signal(ignored, signal.SIG_IGN)
    share_arenas()
    prctl(PR_SET_DUMPABLE, 0)  # for the workers, too: no script reads another's memory
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    state = ForkServerState(int(state_fd))
    os.close(int(state_fd))
    requests = socket.socket(fileno=int(requests_fd))
    requests.setblocking(False)  # of two fork servers that a request wakes, one finds nothing
    common = Common(
        float(memory_mb), Confining.of_argument(confining), server=(os.getppid(), os.getpid())
    )
    # Before any fork: the pipe says "ready" when the last process that holds it has closed it.
    os.write(int(ready_fd), READY)
    os.close(int(ready_fd))
    # A worker of a cold fork server that imports scipy and scikit-learn by itself takes 130 MB, and
    # so does the one that imports them for all: four such workers don't fit into 512 MB.
    hurries = modules and not machine.is_small()
    cold = fork_cold(common, requests, state) if hurries else None
    gc.disable()  # next to nothing that is imported goes: looking for it takes a tenth of the time
    preload(modules)
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, pages shared with the workers
    gc.enable()
    RootForkServer(common, requests, state, float(shelves_mb), cold).run()
    if common.confining.folder:
        remove(Path(common.confining.folder))


if __name__ == "__main__":
    main()
