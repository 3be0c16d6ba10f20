"""The script worker where there is no fork: started as a fresh interpreter.

Its socket is its standard input (POSIX) or described there (Windows).
"""

import os
import socket
import sys

from tabpy.tabpy_server.workers.worker.main import serve
from tabpy.tabpy_server.workers.worker.preload import preload


def main() -> None:
    if sys.platform == "win32":
        connection = socket.fromshare(sys.stdin.buffer.read())
    else:
        connection = socket.socket(fileno=os.dup(0))
    memory_mb, *modules = sys.argv[1:]
    preload(modules)
    serve(connection, float(memory_mb))


if __name__ == "__main__":
    main()
