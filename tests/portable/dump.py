"""A program that archives all kinds of functions into a folder, on whatever Python runs it.

`dump.py FOLDER text` archives them as the client does, `dump.py FOLDER bytecode` as TabPy's does,
and `dump.py FOLDER models` those of `models` as the client does. Prints `{kind: the functions that
went as bytecode}` as JSON.
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


def functions(folder: Path, models: bool) -> dict[str, Callable[..., Any]]:
    if models:
        from tests.portable import models as module

        cloudpickle.register_pickle_by_value(module)
        return {name: kind.function for name, kind in module.MODELS.items()}
    from tests.portable import kinds

    cloudpickle.register_pickle_by_value(kinds)
    found = {name: kind.function for name, kind in kinds.KINDS.items()}
    if sys.version_info >= (3, 12):
        (folder / "newer.py").write_text(kinds.NEWER)
        sys.path.insert(0, str(folder))
        newer = importlib.import_module("newer")
        cloudpickle.register_pickle_by_value(newer)
        found |= {name: getattr(newer, name) for name in kinds.NEWER_KINDS}
    return found


def main(folder: Path, form: str) -> None:
    warnings.simplefilter("error")
    compiled = {}
    for name, function in functions(folder, form == "models").items():
        query_object = CustomQueryObject(function)
        with (folder / name).open("wb") as file:
            if form == "bytecode":
                try:
                    cloudpickle.dump(query_object, file)
                except TypeError:  # TabPy's client can't deploy it at all
                    (folder / name).unlink()
                continue
            pickler = Pickler(file)
            pickler.dump(query_object)
            compiled[name] = sorted(pickler.compiled)
    print(json.dumps(compiled))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
