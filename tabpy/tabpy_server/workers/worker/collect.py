"""The script worker: the functions of a checkout's `models/`, made archives.

Importing somebody's module runs it, so this happens in a worker that is thrown away.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tabpy.tabpy_server.workers.protocol import Collect
from tabpy.tabpy_server.workers.worker import results
from tabpy.tabpy_tools.endpoint import EndpointMark
from tabpy.tabpy_tools.source_file import SourceFile


def collect(task: Collect) -> bytes:
    """Import each `*.py` of a folder, archive what `@endpoint` marks there, and return the reply's
    body (see `Collect`).

    Each function's metadata is as the client sends it, with an `origin` that changes with the text
    of its module. What can't be had, a module or a function, costs no more than itself.
    """
    functions: list[dict[str, Any]] = []
    problems: list[str] = []
    archives = Path(tempfile.mkdtemp())
    for path in sorted(Path(task.models).glob("*.py")):
        file = SourceFile(path)
        try:
            file.load()
        except BaseException as error:  # noqa: BLE001 - somebody's module can raise anything
            problems.append(f"models/{path.name}: {type(error).__name__}: {error}")
            continue
        with file.present():
            for function, mark in file.marked():
                try:
                    functions.append(_archived(function, mark, path, archives))
                except BaseException as error:  # noqa: BLE001 - and so can what is pickled
                    where = f"models/{path.name}: {mark.name}"
                    problems.append(f"{where}: {type(error).__name__}: {error}")
    return results.encode({"functions": functions, "problems": problems})


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
            "pure": mark.pure,
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
