"""The configuration file: an INI file with a section `[TabPy]`, as TabPy has it."""

import configparser
import re
from collections.abc import Mapping
from pathlib import Path

SECTION = "TabPy"
REFERENCE = re.compile(r"%\(([^)]*)\)s")


def read(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the lines of `[TabPy]`, by their names in upper case; none if it isn't there, as in a
    file that is for logging only.

    `%(NAME)s` stands for the environment's NAME, else for the file's own line NAME, else for the
    environment's name in any other case; `%%` for a percent sign. Any other percent sign is one.

    Raises OSError, UnicodeDecodeError or configparser.Error; of the latter NoSectionError if only
    the case of the section's name is wrong, and InterpolationMissingOptionError for a NAME that
    nobody has given.
    """
    # Raw, since a % in some variable or value must not stop the start.
    parser = configparser.RawConfigParser(strict=False)
    with file.open(encoding="utf-8-sig") as text:
        parser.read_file(text)
    if not parser.has_section(SECTION):
        if SECTION.lower() in map(str.lower, parser.sections()):
            raise configparser.NoSectionError(SECTION)  # somebody's settings would be lost
        return {}
    section = {name.upper(): value for name, value in parser.items(SECTION)}
    return {name: _filled_in(name, value, section, environment) for name, value in section.items()}


def _filled_in(
    line: str, value: str, section: Mapping[str, str], environment: Mapping[str, str]
) -> str:
    # TabPy finds all of them in any case, so %(home)s works there.
    in_any_case = {name.upper(): value for name, value in environment.items()}

    def given(reference: re.Match[str]) -> str:
        name = reference[1]
        found = environment.get(name, section.get(name.upper(), in_any_case.get(name.upper())))
        if found is None:
            # Of the value only the reference, since errors are shown and the rest may be a secret.
            raise configparser.InterpolationMissingOptionError(line, SECTION, reference[0], name)
        return found

    return REFERENCE.sub(given, value).replace("%%", "%")
