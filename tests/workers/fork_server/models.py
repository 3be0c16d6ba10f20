"""Models for shelves, in a module that is quickly imported where they are loaded."""

import os
from pathlib import Path
from typing import Any


class Plain:
    """A model that answers."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def query(self) -> object:
        return self.answer


class Gated(Plain):
    """One that is loaded only when a file is there."""

    def __init__(self, gate: Path, answer: object) -> None:
        super().__init__(answer)
        self.gate = str(gate)

    def __setstate__(self, state: dict[str, Any]) -> None:
        while not Path(state["gate"]).exists():
            pass
        self.__dict__.update(state)


class Runs(Plain):
    """One that runs a statement when it is loaded on a shelf, which leads no session."""

    def __init__(self, code: str, answer: object = None) -> None:
        super().__init__(answer)
        self.code = code

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if os.getsid(0) != os.getpid():
            exec(self.code)
