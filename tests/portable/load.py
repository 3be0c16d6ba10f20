"""A program that loads the archives of a folder and calls what is in them, as a worker would.

`load.py FOLDER PYTHON`: PYTHON made them, "" if the server isn't told. `load.py FOLDER PYTHON
models`: they are of the kinds in `models`. Prints `{kind: "right" or what happened instead}` as
JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.workers.worker.unpickling import unpickle
from tests.portable.kinds import KINDS, NEWER_KINDS, Kind


def kinds(models: bool) -> dict[str, Kind]:
    if models:
        from tests.portable.models import MODELS

        return MODELS
    newer = {name: Kind(max, (1,), answer) for name, answer in NEWER_KINDS.items()}
    return {**KINDS, **newer}


def outcome(archive: Path, python: str, kind: Kind) -> str:
    try:
        with archive.open("rb") as file:
            answer = unpickle(file, archive.name, python)(*kind.arguments)
    except NotLoadableError as error:
        return f"refused: {error.why}"
    except BaseException as error:  # noqa: BLE001 - for whoever reads the table
        return f"{type(error).__name__}: {error}"
    return "right" if answer == kind.answer else f"answers {answer!r}, not {kind.answer!r}"


def main(folder: Path, python: str, *models: Any) -> None:
    outcomes = {
        name: outcome(folder / name, python, kind)
        for name, kind in kinds(bool(models)).items()
        if (folder / name).exists()
    }
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
