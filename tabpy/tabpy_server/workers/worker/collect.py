"""The script worker: the functions of a checkout's `models/`, made archives.

Importing somebody's module runs it, so this happens in a worker that is thrown away.
"""

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any


def collect(models: str, archives: str) -> dict[str, list[Any]]:
    """Import each `*.py` of the folder `models` and archive what `@endpoint` marks there.

    Archives go to files in the folder `archives`. `functions` of the result has each one's
    metadata, as the client sends it, with `archive` (its file's path) and `origin` (which changes
    with the text of its module); `problems` has a line for each that couldn't be had.
    """
    functions: list[dict[str, Any]] = []
    problems: list[str] = []
    sys.path.insert(0, models)  # the modules there may import each other
    for file in sorted(Path(models).glob("*.py")):
        try:
            functions += _functions(file, Path(archives))
        except BaseException as problem:  # noqa: BLE001 - somebody's module can raise anything
            problems.append(f"models/{file.name}: {type(problem).__name__}: {problem}")
    return {"functions": functions, "problems": problems}


def _functions(file: Path, archives: Path) -> list[dict[str, Any]]:
    from tabpy.tabpy_tools.archive import archived
    from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    found = []
    for function in vars(module).values():
        mark = getattr(function, "__tabpy_endpoint__", None)
        if mark is None or function.__module__ != file.stem:
            continue
        description = mark.description
        if description is None:
            description = (function.__doc__ or "").strip()
        query_object = CustomQueryObject(function, description, mark.schema)
        fingerprint = hashlib.sha256(file.read_bytes() + mark.name.encode()).hexdigest()
        target = archives / fingerprint
        with archived(query_object) as archive, target.open("wb") as into:
            shutil.copyfileobj(archive.file, into)
            found.append(
                {
                    "name": mark.name,
                    "description": description,
                    "docstring": query_object.get_docstring(),
                    "methods": query_object.get_methods(),
                    "dependencies": query_object.get_dependencies(),
                    "schema": mark.schema,
                    "is_public": mark.is_public,
                    "requirements": list(mark.requirements),
                    "python": archive.python,
                    "packages": archive.packages,
                    "archive": str(target),
                    "origin": f"models/{file.name}: {mark.name}: {fingerprint}",
                }
            )
    return found
