"""What tabpy-deploy is to do: the functions in the files that it is given."""

import functools
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tabpy.tabpy_tools.endpoint import EndpointMark
from tabpy.tabpy_tools.names import check_endpoint_name
from tabpy.tabpy_tools.source_file import Marked, SourceFile


class UsageError(Exception):
    """What is wrong with the command, in one line."""


@dataclass
class Outcome:
    """What became of a function, or of a file that couldn't be imported: then `name` is None."""

    name: str | None
    file: str
    version: int | None = None
    calculation: str | None = None
    size: int | None = None
    error: str | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        if self.error:
            return f"failed: {self.error}"
        if self.size is not None:
            return f"can be deployed, {self.size} bytes"
        return "deployed" if self.version is None else f"deployed, version {self.version}"

    def told(self) -> dict[str, Any]:
        """Return it as a JSON object, without what isn't known."""
        known = {key: value for key, value in vars(self).items() if value is not None}
        return {**known, "ok": self.error is None}


@dataclass(frozen=True)
class Job:
    """A function to deploy, and how."""

    file: SourceFile
    function: Any
    mark: EndpointMark

    def pack(self) -> Outcome:
        """Make its archive, and leave it at that. Raises what `archived` raises."""
        from tabpy.tabpy_tools.archive import archived
        from tabpy.tabpy_tools.wrapping import wrapped

        mark = self.mark
        query_object = wrapped(mark.name, self.function, mark.description, mark.schema)
        with archived(query_object) as archive:
            return Outcome(mark.name, str(self.file.path), size=archive.size)


# A target, and its files, each with the function that is named of it.
Files = tuple[str, list[tuple[SourceFile, str | None]]]


def files_of(target: str) -> Files:
    """Return the files of a target: a file, FILE:FUNCTION or a folder. Raises UsageError."""
    head, _, function = target.rpartition(":")
    if head and function.isidentifier():
        return target, [(SourceFile(_file(Path(head))), function)]
    if (folder := Path(target)).is_dir():
        files = [each for each in sorted(folder.glob("*.py")) if not each.stem.startswith("__")]
        return target, [(SourceFile(each), None) for each in files]
    return target, [(SourceFile(_file(Path(target))), None)]


def collect(  # noqa: PLR0913 - what the command may say
    targets: Iterable[Files],
    *,
    name: str | None,
    description: str | None,
    is_public: bool,
    pure: bool,
    requirements: tuple[str, ...],
    also_unmarked: bool,
) -> tuple[list[Job], list[Outcome]]:
    """Import the files of the targets; return what to deploy, and the files that can't be imported.

    Raises UsageError for a target that has no function, and for a name or description that is
    meant for several functions.
    """
    jobs: list[Job] = []
    broken: list[Outcome] = []
    for target, files in targets:
        found = len(jobs) + len(broken)
        for file, function in files:
            try:
                file.load()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's module
                text = f"{type(error).__name__}: {error}"
                broken.append(Outcome(None, str(file.path), error=" ".join(text.split())))
                continue
            jobs += [Job(file, *each) for each in _chosen(file, function, also_unmarked)]
        if len(jobs) + len(broken) == found:
            raise UsageError(
                f"{target} marks no function with @endpoint: name one, such as FILE.py:FUNCTION, "
                "or give --all"
            )
    if (name is not None or description is not None) and (count := len(jobs) + len(broken)) > 1:
        raise UsageError(f"--name and --description are for one function; here are {count}")
    told = functools.partial(
        _told,
        name=name,
        description=description,
        is_public=is_public,
        pure=pure,
        requirements=requirements,
    )
    return [replace(job, mark=told(job.mark)) for job in jobs], broken


def _told(  # noqa: PLR0913 - what the command may say
    mark: EndpointMark,
    *,
    name: str | None,
    description: str | None,
    is_public: bool,
    pure: bool,
    requirements: tuple[str, ...],
) -> EndpointMark:
    """Return the mark with what the command says in place of, or beside, what it says itself."""
    if name is not None:
        try:
            check_endpoint_name(name)
        except ValueError as error:
            raise UsageError(f"--name: {error}") from None
    return replace(
        mark,
        name=name if name is not None else mark.name,
        description=description if description is not None else mark.description,
        is_public=mark.is_public or is_public,
        pure=mark.pure or pure,
        requirements=(*mark.requirements, *requirements),
    )


def _file(path: Path) -> Path:
    with suppress(OSError):
        if path.is_file() and path.suffix == ".py":
            return path
    raise UsageError(f"{path} is no Python file, such as models/price.py, and no folder of them")


def _chosen(file: SourceFile, function: str | None, also_unmarked: bool) -> list[Marked]:
    if function is None:
        return file.public() if also_unmarked else file.marked()
    found = file.named(function)
    if found is None:
        raise UsageError(f"{file.path} has no function {function!r}")
    return [found]
