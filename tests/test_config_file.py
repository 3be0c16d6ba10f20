"""The configuration file, as the server and the commands read it."""

import configparser
from pathlib import Path

import pytest

from tabpy.tabpy_server import config_file


def read(folder: Path, lines: str, **environment: str) -> dict[str, str]:
    file = folder / "tabpy.conf"
    file.write_text(f"[TabPy]\n{lines}\n")
    return config_file.read(file, environment)


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        ("/data/%(WHO)s", "/data/ann"),
        ("%(WHO)s%(WHO)s", "annann"),
        ("%(folder)s/x", "/srv/x"),  # another line of the file, in any case
        ("%(RATE)s", "5%"),  # what comes in isn't looked at again
        ("100%", "100%"),
        ("100%%", "100%"),
        ("%d of %s", "%d of %s"),
        ("", ""),
    ],
)
def test_a_name_in_brackets_is_filled_in_and_other_percent_signs_stay(
    tmp_path: Path, value: str, read_as: str
) -> None:
    found = read(tmp_path, f"FOLDER = /srv\nTABPY_X = {value}", WHO="ann", RATE="5%")
    assert found["TABPY_X"] == read_as


def test_the_environment_beats_the_files_own_line(tmp_path: Path) -> None:
    assert read(tmp_path, "WHO = bob\nX = %(WHO)s", WHO="ann")["X"] == "ann"


def test_names_are_in_upper_case_and_the_last_line_counts(tmp_path: Path) -> None:
    assert read(tmp_path, "tabpy_port = 1\nTABPY_PORT = 2") == {"TABPY_PORT": "2"}


def test_a_name_that_nobody_gave_is_an_error_that_shows_no_more_than_the_name(
    tmp_path: Path,
) -> None:
    with pytest.raises(configparser.InterpolationMissingOptionError, match="NO_SUCH") as missing:
        read(tmp_path, "TABPY_PASSWORD = fake-%(NO_SUCH)s")
    assert missing.value.reference == "NO_SUCH"
    assert "fake" not in str(missing.value)


def test_a_name_in_another_case_is_filled_in_if_nothing_else_fits(tmp_path: Path) -> None:
    assert read(tmp_path, "X = %(home)s", HOME="/home/ann")["X"] == "/home/ann"  # differences 31
    assert read(tmp_path, "HOME = /srv\nX = %(home)s", HOME="/home/ann")["X"] == "/srv"


@pytest.mark.parametrize("text", ["", "[loggers]\nkeys = root\n", "[Other]\nTABPY_PORT = 1\n"])
def test_a_file_without_our_section_sets_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tabpy.conf"
    file.write_text(text)
    assert config_file.read(file, {}) == {}  # differences 31


def test_our_section_by_a_name_in_another_case_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "tabpy.conf"
    file.write_text("[tabpy]\nTABPY_PORT = 1\n")
    with pytest.raises(configparser.NoSectionError):
        config_file.read(file, {})
