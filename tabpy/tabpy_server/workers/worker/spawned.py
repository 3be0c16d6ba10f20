"""The script worker where there is no fork: started as a fresh interpreter.

Its socket is its standard input (POSIX), or comes there when it has said its pid (Windows).
"""

import contextlib
import os
import socket
import sys

from tabpy.tabpy_server.workers.worker.main import serve
from tabpy.tabpy_server.workers.worker.preload import preload


def main() -> None:
    connection = _own_socket()
    memory_mb, *modules = sys.argv[1:]
    preload(modules)
    serve(connection, float(memory_mb))


def _own_socket() -> socket.socket:
    if sys.platform != "win32":
        return socket.socket(fileno=os.dup(0))
    os.write(2, b"%d\n" % os.getpid())
    own = socket.fromshare(sys.stdin.buffer.read())
    with contextlib.suppress(OSError):  # the server has no standard output
        os.dup2(1, 2)  # nobody reads that pipe any more
    return own


if __name__ == "__main__":
    main()
