"""What in a configuration file, or in the settings as a whole, isn't what somebody meant."""

import configparser
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tabpy.tabpy_server import config_file

if TYPE_CHECKING:
    from tabpy.tabpy_server.settings import Settings

PREFIX = "TABPY_"


def of_the_file(file: Path, lines: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a warning for each line without its prefix, and for one that is there twice. `lines`:
    the file's by name; `known`: the settings' names."""
    # Where the whole name is there, too, the line may be for its %(NAME)s.
    found = [
        f"{name} in {file} is no setting of this server. Did you mean {PREFIX}{name}?"
        for name in sorted(lines)
        if PREFIX + name in known and PREFIX + name not in lines
    ]
    if repeated := _repeated(file):
        found.append(f"{file} {repeated}: the last one counts. Remove the others.")
    return found


def _repeated(file: Path) -> str:
    parser = configparser.RawConfigParser(strict=True)
    try:
        with file.open(encoding="utf-8-sig") as text:
            parser.read_file(text)
    except configparser.DuplicateOptionError as error:
        if error.section == config_file.SECTION:
            return f"sets {error.option.upper()} more than once, again in line {error.lineno}"
    except configparser.DuplicateSectionError as error:
        return f"has more than one section [{error.section}], again in line {error.lineno}"
    return ""


def missing_folders(settings: "Settings") -> list[str]:
    """Return a warning for each path that somebody named and that leads nowhere."""
    return [
        f"{key} names '{path}', which isn't there: {what}. Make it, or correct the path."
        for key, path, what in _named(settings)
        if not path.exists()
    ]


def _named(settings: "Settings") -> Iterator[tuple[str, Path, str]]:
    if settings.models_path is not None and "TABPY_MODELS_PATH" in settings.explicit:
        yield "TABPY_MODELS_PATH", settings.models_path, "no function is deployed from it"
    if settings.query_object_path is not None:
        yield "TABPY_QUERY_OBJECT_PATH", settings.query_object_path, "no model is taken from it"
    for each in settings.script_read:
        yield "TABPY_SCRIPT_READ", Path(each), "no script can read it"
    for each in settings.script_write:
        yield "TABPY_SCRIPT_WRITE", Path(each), "no script can write to it"
