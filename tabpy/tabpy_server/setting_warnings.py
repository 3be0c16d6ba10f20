"""What in a configuration file, or in the settings as a whole, isn't what somebody meant."""

import configparser
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tabpy.tabpy_server import config_file

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


def missing_paths(named: Mapping[str, Iterable[str | Path | None]]) -> list[str]:
    """Return a warning for each path that somebody named in a setting, and that leads nowhere."""
    return [
        f"{key} names '{path}', which isn't there: make it, or correct the path."
        for key, paths in named.items()
        for path in paths
        if path is not None and not Path(path).exists()
    ]
