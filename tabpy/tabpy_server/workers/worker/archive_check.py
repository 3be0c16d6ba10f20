"""The script worker: trying an archive before it is stored."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.workers.worker.models import check_python, unpickle
from tabpy.tabpy_server.workers.worker.requirements import differences, unmet


def check(
    path: str, name: str, requirements: Sequence[str], python: str, packages: Mapping[str, str]
) -> list[str]:
    """Try to load an archive; how its packages differ from this server's, a line each.

    Raises RequestError 400 with the reason in words.
    """
    missing = [problem for each in requirements if (problem := unmet(each))]
    if missing:
        failed = f"Function '{name}' can't be loaded."
        raise RequestError(400, failed, f"It needs {'; '.join(missing)}.")
    with Path(path).open("rb") as archive:
        check_python(archive, name, python)
        try:
            unpickle(archive, name)
        except RequestError as refusal:
            if python and python != platform.python_version():
                refusal.info += (
                    f" It was made with Python {python}; this server runs "
                    f"{platform.python_version()}."
                )
            raise
    return differences(packages)
