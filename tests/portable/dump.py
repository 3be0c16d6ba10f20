"""A program that archives all kinds of functions into a folder, on whatever Python runs it.

`dump.py FOLDER text` archives them as the client does, `dump.py FOLDER bytecode` as TabPy's does.
Prints `{kind: the functions that went as bytecode}` as JSON.
"""

import importlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.pickler import Pickler
from tests.portable import kinds


def functions(folder: Path) -> dict[str, Callable[..., Any]]:
    found = {name: kind.function for name, kind in kinds.KINDS.items()}
    if sys.version_info >= (3, 12):
        (folder / "newer.py").write_text(kinds.NEWER)
        sys.path.insert(0, str(folder))
        newer = importlib.import_module("newer")
        found |= {name: getattr(newer, name) for name in kinds.NEWER_KINDS}
        cloudpickle.register_pickle_by_value(newer)
    return found


def main(folder: Path, form: str) -> None:
    warnings.simplefilter("error")
    compiled = {}
    cloudpickle.register_pickle_by_value(kinds)
    for name, function in functions(folder).items():
        query_object = CustomQueryObject(function)
        if form == "text":
            with (folder / name).open("wb") as file:
                pickler = Pickler(file)
                pickler.dump(query_object)
                compiled[name] = sorted(pickler.compiled)
        else:
            try:
                (folder / name).write_bytes(cloudpickle.dumps(query_object))
            except TypeError:
                continue  # TabPy's client can't deploy it at all
            compiled[name] = [name]
    print(json.dumps(compiled))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
