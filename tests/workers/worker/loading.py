"""Archives for the tests of a worker, and a web process that knows them."""

import hashlib
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle

from tabpy.tabpy_server.errors import TabPyError, UnknownFunctionError
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker.models import Models
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject


def archive_of(code: Callable[..., Any]) -> bytes:
    """What a client elsewhere would send, without a look at what is installed there."""
    module = sys.modules[code.__module__]
    cloudpickle.register_pickle_by_value(module)
    try:
        archive: bytes = cloudpickle.dumps(CustomQueryObject(code, ""))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()  # as it is elsewhere
    return archive


class WebProcess:
    """Answers what a name stands for, and repairs a damaged archive if it can."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.references: dict[str, Reference] = {}
        self.asked: list[tuple[str, str]] = []
        self.repairs: dict[str, bytes] = {}
        self.refusal: TabPyError | None = None

    def deploy(self, name: str, code: Callable[..., Any] | bytes, python: str = "") -> Reference:
        """Have `name` stand for a new version. `code`: a function, or an archive's bytes."""
        archive = code if isinstance(code, bytes) else archive_of(code)
        sha256 = hashlib.sha256(archive).hexdigest()
        path = self.folder / sha256
        path.write_bytes(archive)
        version = self.references[name].version + 1 if name in self.references else 1
        python = python or platform.python_version()
        self.references[name] = Reference(name, version, sha256, str(path), python)
        return self.references[name]

    def ask(self, name: str, damaged: str) -> Reference:
        self.asked.append((name, damaged))
        if self.refusal is not None:
            raise self.refusal
        if name not in self.references:
            raise UnknownFunctionError(f"There is no function '{name}' on this server.")
        if damaged in self.repairs:
            Path(self.references[name].path).write_bytes(self.repairs[damaged])
        return self.references[name]

    def worker(self, limit: int = 1 << 30, **preloaded: Any) -> Models:
        """A worker's models, in the middle of a job."""
        models = Models(self.ask, preloaded.get("preloaded", {}))
        models.start("first", limit)
        return models
