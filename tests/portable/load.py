"""A program that loads the archives of a folder and calls what is in them, as a worker would.

`load.py FOLDER PYTHON`: PYTHON made them, "" if the server isn't told. Prints `{kind: "right" or
what happened instead}` as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.workers.worker.unpickling import unpickle
from tests.portable.kinds import KINDS, NEWER_KINDS


def outcome(archive: Path, python: str) -> str:
    name = archive.name
    arguments: tuple[Any, ...] = (1,)
    answer: Any = NEWER_KINDS.get(name)
    if name in KINDS:
        arguments, answer = KINDS[name].arguments, KINDS[name].answer
    try:
        with archive.open("rb") as file:
            answered = unpickle(file, name, python)(*arguments)
    except NotLoadableError as error:
        return f"refused: {error.why}"
    except BaseException as error:  # noqa: BLE001 - for whoever reads the table
        return f"{type(error).__name__}: {error}"
    return "right" if answered == answer else f"answers {answered!r}, not {answer!r}"


def main(folder: Path, python: str) -> None:
    archives = [each for each in sorted(folder.iterdir()) if each.name in {*KINDS, *NEWER_KINDS}]
    print(json.dumps({each.name: outcome(each, python) for each in archives}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
