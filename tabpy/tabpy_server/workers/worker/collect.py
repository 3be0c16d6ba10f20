"""The script worker: the functions of a checkout's `models/`, made archives.

Importing somebody's module runs it, so this happens in a worker that is thrown away.
"""

import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tabpy.tabpy_server.workers.protocol import Collect
from tabpy.tabpy_server.workers.worker import results
from tabpy.tabpy_tools.endpoint import EndpointMark


def collect(task: Collect) -> bytes:
    """Import each `*.py` of a folder, archive what `@endpoint` marks there, and return the reply's
    body (see `Collect`).

    Each function's metadata is as the client sends it, with an `origin` that changes with the text
    of its module. What can't be had, a module or a function, costs no more than itself.
    """
    functions: list[dict[str, Any]] = []
    problems: list[str] = []
    archives = Path(tempfile.mkdtemp())
    sys.path.insert(0, task.models)  # the modules there may import each other
    for file in sorted(Path(task.models).glob("*.py")):
        try:
            marked = list(_marked(_imported(file)))
        except BaseException as error:  # noqa: BLE001 - somebody's module can raise anything
            problems.append(f"models/{file.name}: {type(error).__name__}: {error}")
            continue
        for function, mark in marked:
            try:
                functions.append(_archived(function, mark, file, archives))
            except BaseException as error:  # noqa: BLE001 - and so can what is pickled
                where = f"models/{file.name}: {mark.name}"
                problems.append(f"{where}: {type(error).__name__}: {error}")
    return results.encode({"functions": functions, "problems": problems})


def _imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def _marked(module: ModuleType) -> Iterator[tuple[Callable[..., Any], EndpointMark]]:
    for function in vars(module).values():
        mark = getattr(function, "__tabpy_endpoint__", None)
        if isinstance(mark, EndpointMark) and function.__module__ == module.__name__:
            yield function, mark


def _archived(
    function: Callable[..., Any], mark: EndpointMark, file: Path, archives: Path
) -> dict[str, Any]:
    """Write the archive of a marked function; return its metadata."""
    from tabpy.tabpy_tools.archive import archived
    from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

    description = mark.description
    if description is None:
        description = (function.__doc__ or "").strip()
    query_object = CustomQueryObject(function, description, mark.schema)
    fingerprint = hashlib.sha256(file.read_bytes() + mark.name.encode()).hexdigest()
    target = archives / fingerprint
    with archived(query_object) as archive, target.open("wb") as into:
        shutil.copyfileobj(archive.file, into)
        metadata = {
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
            "file": file.name,
            "origin": f"models/{file.name}: {mark.name}: {fingerprint}",
        }
    _check_form(metadata)
    return metadata


def _check_form(metadata: dict[str, Any]) -> None:
    """Raise TypeError that names what JSON can't carry, such as a schema with a set in it."""
    for key, value in metadata.items():
        try:
            results.encode(value)
        except Exception as error:  # somebody's objects again
            raise TypeError(
                f"its {key} has no form in JSON: use dicts, lists, strings, numbers, booleans "
                "and None."
            ) from error
