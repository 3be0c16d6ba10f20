"""Reads the functions in a state folder of TabPy's: `state.ini` and `query_objects`.

A function is an entry of state.ini, JSON with its "schema" in it as a Python repr, and its model
the pickle `query_objects/<name>/<version>/pickle_archive`, which is never loaded here.
"""

import json
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tabpy.tabpy_server.functions.legacy import state_ini
from tabpy.tabpy_server.json_codec import object_in

_T = TypeVar("_T")

SCHEMA_LIMIT = 1 << 18  # characters; to read such a text takes half a second and 100 MB


@dataclass(frozen=True)
class LegacyFunction:
    """A function that can be imported; what TabPy doesn't say of it is empty.

    `version` counts from 1. The times are seconds since 1970, 0 if unknown. `type` is "model" or
    "alias". A model has an `archive`, the pickle of a CustomQueryObject; an alias has a `target`,
    which leads to a model that is imported too.
    """

    name: str
    version: int
    description: str
    docstring: str
    schema: dict[str, Any] | None
    type: str
    target: str | None
    methods: list[Any]
    dependencies: list[str]
    is_public: bool
    creation_time: int
    last_modified_time: int
    archive: Path | None


@dataclass(frozen=True)
class ImportResult:
    """The functions to import, in the order of their first deploy, and what is lost.

    Each problem is a line for the operator: it names the function and says why, and what to do.
    """

    functions: list[LegacyFunction]
    problems: list[str]


def read(state_path: Path, query_object_path: Path | None) -> ImportResult:
    """Return all that can be imported from `state_path`, TabPy's TABPY_STATE_PATH.

    TabPy keeps the models under it, whatever TABPY_QUERY_OBJECT_PATH says; `query_object_path` is
    searched for those that aren't there. Writes nothing, loads no pickle, and raises nothing for
    broken files: each is in a problem line, and all else is read. A folder without any of TabPy's
    files has neither functions nor problems.
    """
    try:
        entries, docstrings = state_ini.read(state_path / "state.ini")
    except OSError as error:
        why = f"its state.ini can't be read ({error.strerror}); make it readable for this server."
        return ImportResult([], [f"No function of TabPy's is taken over: {why}"])
    problems: list[str] = []
    folders = _folders((state_path / "query_objects", query_object_path), problems.append)
    names = _real_names(entries, folders)

    found: dict[str, LegacyFunction] = {}
    for key, value in entries.items():
        name = names[key]
        try:
            entry = _Entry(name, value, names, problems.append)
            found[name] = entry.function(docstrings.get(key, ""), folders.get(name, []))
        except NotImportableError as error:
            problems.append(_left(name, str(error)))
    problems += [
        _left(name, f"it's an alias of {function.target!r}, which isn't taken over")
        for name, function in found.items()
        if not _has_model(function, found)
    ]
    # A deploy that TabPy refused for its text leaves a model and a docstring behind, no more.
    models = {name for name, places in folders.items() if any(map(_versions, places))}
    problems += [
        _left(name, "state.ini doesn't give its version")
        for name in sorted({*models, *docstrings} - {*names, *names.values()})
    ]
    return ImportResult([f for f in found.values() if _has_model(f, found)], problems)


class NotImportableError(Exception):
    """Why a function can't be imported."""


def _left(name: str, why: str) -> str:
    return f"Function {name!r} is left in TabPy's folder: {why}. Deploy it again."


def _has_model(function: LegacyFunction, functions: Mapping[str, LegacyFunction]) -> bool:
    """Tell whether it is a model, or an alias at the start of a chain that ends in one."""
    passed = set()
    link: LegacyFunction | None = function
    while link and link.target is not None and link.name not in passed:
        passed.add(link.name)
        link = functions.get(link.target)
    return link is not None and link.target is None


class _Entry:
    """What state.ini says of one function. Raises NotImportableError."""

    def __init__(
        self, name: str, text: str, names: Mapping[str, str], report: Callable[[str], None]
    ) -> None:
        self._name = name
        self._names = names
        self._report = report
        try:
            self._values = _checked(json.loads(text))
        except (ValueError, RecursionError):
            raise NotImportableError("its line in state.ini isn't a whole JSON object") from None

    def function(self, docstring: str, folders: list[Path]) -> LegacyFunction:
        """Return the whole function, given the folders that may hold its versions."""
        version = self._values.get("version")
        if type(version) is not int or version < 1:
            raise NotImportableError("its version in state.ini isn't a number from 1 on")
        kind = self._values.get("type", "model")
        if kind not in ("model", "alias"):
            raise NotImportableError(f"its type in state.ini is {kind!r}, not 'model' or 'alias'")
        target = self._values.get("target") if kind == "alias" else None
        if kind == "alias" and not isinstance(target, str):
            raise NotImportableError("it's an alias without a target")
        created = self._take("creation_time", 0)
        return LegacyFunction(
            name=self._name,
            version=version,
            description=self._take("description", ""),
            docstring=docstring,
            schema=self._schema(),
            type=kind,
            target=None if target is None else self._names.get(target, target),
            methods=self._take("methods", list[Any]()),
            dependencies=[
                self._names.get(other, other)
                for other in self._take("dependencies", list[Any]())
                if isinstance(other, str)
            ],
            is_public=self._take("is_public", False),
            creation_time=created,
            last_modified_time=self._take("last_modified_time", created),
            archive=_archive(folders, version) if kind == "model" else None,
        )

    def _take(self, key: str, default: _T) -> _T:
        value = self._values.get(key)
        if value is None:
            return default
        if type(value) is type(default):
            return value
        self._report_lack(key, f"isn't of type {type(default).__name__}")
        return default

    def _schema(self) -> dict[str, Any] | None:
        value = self._values.get("schema")
        if value is None:
            return None
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and len(value) > SCHEMA_LIMIT:
            self._report_lack("schema", f"is a text of more than {SCHEMA_LIMIT} characters")
            return None
        schema = object_in(value) if isinstance(value, str) else None
        if schema is None:
            self._report_lack("schema", "isn't the text of a dict of JSON's types")
        return schema

    def _report_lack(self, key: str, why: str) -> None:
        self._report(
            f"Function {self._name!r} is taken over without its {key}: in state.ini it {why}."
            " Deploy it again to set it."
        )


def _checked(value: Any) -> dict[str, Any]:
    """Return a dict that JSON and UTF-8 can carry. Raises TypeError, ValueError for others."""
    if not isinstance(value, dict):
        raise ValueError("not a dict")
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _folders(places: Iterable[Path | None], report: Callable[[str], None]) -> dict[str, list[Path]]:
    """Return the folders of each function, those of the first place first."""
    folders: dict[str, list[Path]] = {}
    for place in dict.fromkeys(place for place in places if place is not None):
        try:
            for folder in place.iterdir():
                if folder.is_dir():
                    folders.setdefault(folder.name, []).append(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            report(
                f"TabPy's models in {place.name} can't be read ({error.strerror});"
                " make it a folder that's readable for this server."
            )
    return folders


def _real_names(entries: Mapping[str, str], folders: Mapping[str, object]) -> dict[str, str]:
    """Return the name of each entry: its folder's, if they differ in case or in spaces around them.

    TabPy keeps the case; other programs that write the file may not.
    """
    names = {name: name for name in entries}
    unclaimed = {folder for folder in folders if folder not in entries}
    for name in entries:
        alike = [folder for folder in unclaimed if _folded(folder) == _folded(name)]
        if name not in folders and len(alike) == 1:
            names[name] = alike[0]
            unclaimed.remove(alike[0])
    return names


def _folded(name: str) -> str:
    return name.strip().casefold()


def _archive(folders: list[Path], version: int) -> Path:
    """Return the pickle of a version. Raises NotImportableError for none, or only a part of it."""
    others: set[str] = set()
    for folder in folders:
        file = folder / str(version) / "pickle_archive"
        try:
            if _is_file(file):
                if _is_whole_pickle(file):
                    return file
                raise NotImportableError(
                    f"the archive of its version {version} isn't a whole pickle"
                )
            others.update(_versions(folder))
        except OSError as error:
            raise NotImportableError(f"its archive can't be read ({error.strerror})") from None
    there = f", only {', '.join(sorted(others))}" if others else ""
    raise NotImportableError(f"query_objects has no archive of its version {version}{there}")


def _is_file(file: Path) -> bool:
    """Tell as Path.is_file does, but raise OSError where that one, from 3.14 on, hides it."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _versions(folder: Path) -> list[str]:
    return [archive.parent.name for archive in folder.glob("*/pickle_archive")]


def _is_whole_pickle(file: Path) -> bool:
    """Tell whether it begins and ends as a pickle does, with PROTO and STOP: it isn't loaded."""
    with file.open("rb") as archive:
        first = archive.read(1)
        archive.seek(max(0, file.stat().st_size - 1))
        return (first, archive.read(1)) == (b"\x80", b".")
