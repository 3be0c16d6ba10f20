"""The script worker: trying an archive before it is stored, and reading what came with it."""

from pathlib import Path

from tabpy.tabpy_server.errors import NotLoadableError
from tabpy.tabpy_server.json_codec import dumps, loads, object_in
from tabpy.tabpy_server.workers.protocol import CheckArchive
from tabpy.tabpy_server.workers.worker.requirements import differences, made_with, unmet
from tabpy.tabpy_server.workers.worker.unpickling import unpickle


def check(task: CheckArchive, body: bytes | memoryview) -> bytes:
    """Try to load an archive and read the text of its schema; return the reply's body (see
    `CheckArchive`).

    Raises NotLoadableError with the reason in words, and InvalidInputError for a requirement that
    is none.
    """
    if task.path:
        try:
            _load(task)
        except NotLoadableError as error:
            why = f"{error.why} {made_with(task.packages, error.why)}".rstrip()
            raise NotLoadableError(task.name, why, out_of_memory=error.out_of_memory) from None
    schema = object_in(loads(body)) if body else None
    return dumps({"remarks": differences(task.packages), "schema": schema})


def _load(task: CheckArchive) -> None:
    missing = [problem for each in task.requirements if (problem := unmet(each))]
    if missing:
        raise NotLoadableError(task.name, f"It needs {'; '.join(missing)}.")
    with Path(task.path).open("rb") as archive:
        unpickle(archive, task.name, task.python)
