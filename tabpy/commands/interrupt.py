"""Ctrl-C while the server starts."""

import os
import signal
from collections.abc import Callable

INTERRUPTED = 130  # the exit code that shells give for Ctrl-C


def leave_at_ctrl_c(stop_others: Callable[[], None] | None = None) -> None:
    """Have a Ctrl-C end this process at once and without a word, with exit code 130.

    `stop_others` ends its children before. It holds until somebody else takes the signal, which the
    running server does.

    A KeyboardInterrupt wouldn't do: one that comes in a destructor or in a callback, of which
    imports have many, Python prints and forgets, and the start goes on.
    """

    def leave(*_: object) -> None:
        if stop_others is not None:
            stop_others()
        os._exit(INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell script's background
        signal.signal(signal.SIGINT, leave)
