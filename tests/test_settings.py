"""Settings: environment over file over defaults, and what is no setting."""

from dataclasses import fields
from pathlib import Path

import pytest

from tabpy.tabpy_server import settings
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tabpy.conf"


def test_without_anything_set_the_defaults_hold() -> None:
    loaded = load(None, {})
    chosen = loaded.settings
    assert (chosen.port, chosen.evaluate_timeout, chosen.max_request_size_mb) == (9004, 30.0, 100.0)
    assert chosen.evaluate_enable
    assert chosen.gzip_enable
    assert not chosen.arrow_enable
    assert not chosen.oauth_enabled
    assert not chosen.on_heroku
    assert chosen.workers >= 2
    assert loaded.warnings == []
    assert loaded.config_file == settings.DEFAULT_CONFIG


def test_environment_beats_file_beats_default(file: Path) -> None:
    file.write_text("[TabPy]\nTABPY_PORT = 1\nTABPY_EVALUATE_TIMEOUT = 2.5\n")
    chosen = load(str(file), {"TABPY_PORT": "3"}).settings
    assert (chosen.port, chosen.evaluate_timeout, chosen.log_level) == (3, 2.5, "INFO")
    assert chosen.explicit == {"TABPY_PORT", "TABPY_EVALUATE_TIMEOUT"}


def test_what_the_packaged_file_sets_is_nobodys_wish() -> None:
    assert load(None, {}).settings.explicit == frozenset()


@pytest.mark.parametrize(
    ("environment", "port", "timeout"),
    [
        ({"DYNO": "web.1", "PORT": "5000"}, 5000, 25.0),
        ({"DYNO": "web.1", "PORT": "5000", "TABPY_PORT": "5001"}, 5001, 25.0),
        ({"DYNO": "web.1", "TABPY_EVALUATE_TIMEOUT": "28"}, 9004, 28.0),
        ({"PORT": "5000"}, 9004, 30.0),  # PORT means nothing anywhere else
    ],
)
def test_heroku_gives_the_port_and_a_shorter_time(
    environment: dict[str, str], port: int, timeout: float
) -> None:
    chosen = load(None, environment).settings
    assert (chosen.port, chosen.evaluate_timeout) == (port, timeout)
    assert chosen.on_heroku is ("DYNO" in environment)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("YES", True), ("1", True), ("Off", False), ("0", False)]
)
def test_flags_are_read_in_all_their_spellings(text: str, value: bool) -> None:
    assert load(None, {"TABPY_LOG_DETAILS": text}).settings.log_details is value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TABPY_PORT", "0"),
        ("TABPY_PORT", "-1"),
        ("TABPY_PORT", ""),
        ("TABPY_EVALUATE_TIMEOUT", "inf"),
        ("TABPY_EVALUATE_TIMEOUT", "soon"),
        ("TABPY_MAX_REQUEST_SIZE_MB", "0"),
        ("TABPY_GZIP_ENABLE", ""),
        ("TABPY_WORKERS", "2.5"),
        ("TABPY_PRELOAD", "a-b"),
        ("WEB_CONCURRENCY", "1000"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_its_source(key: str, value: str) -> None:
    with pytest.raises(StartError, match=rf"^{key} is '{value}' in the environment: expected "):
        load(None, {key: value})


def test_values_of_the_file_may_take_in_the_environment(file: Path) -> None:
    file.write_text(
        "[TabPy]\n"
        "FOLDER = /data\n"
        "TABPY_STATE_PATH = %(FOLDER)s/%(name)s\n"
        "TABPY_QUERY_OBJECT_PATH = 100%%\n"
        "TABPY_PRELOAD = numpy, scipy.stats,\n"
    )
    loaded = load(str(file), {"name": "50%"})
    assert loaded.settings.state_path == Path("/data/50%")
    assert loaded.settings.query_object_path == Path("100%")
    assert loaded.settings.preload == ("numpy", "scipy.stats")


def test_a_variable_that_is_missing_is_named(file: Path) -> None:
    file.write_text("[TabPy]\nTABPY_PORT = %(NO_SUCH)s\n")
    with pytest.raises(StartError, match="the environment has no NO_SUCH"):
        load(str(file), {})


def test_a_file_saved_on_windows_is_read(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf[TabPy]\r\ntabpy_port = 7\r\nTABPY_PORT = 8\r\n")
    assert load(str(file), {}).settings.port == 8


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("TABPY_EVALUATE_TIMOUT", " Did you mean TABPY_EVALUATE_TIMEOUT?"),
        ("TABPY_SOMETHING_ELSE_ENTIRELY", ""),
    ],
)
def test_an_unknown_key_is_a_warning_with_the_nearest(given: str, hint: str) -> None:
    [warning] = load(None, {given: "x"}).warnings
    assert warning == f"{given} is no setting of this server.{hint}"


@pytest.mark.parametrize("key", ["HOME", "TABPY_CERTIFICATE_FILE", "TABPY_OAUTH_ISSUER"])
def test_what_is_somebody_elses_or_without_effect_is_no_warning(key: str) -> None:
    assert load(None, {key: "x"}).warnings == []


def test_a_password_keeps_its_spaces_and_is_not_shown() -> None:
    chosen = load(None, {"TABPY_USERNAME": " ann ", "TABPY_PASSWORD": " fake "}).settings
    assert (chosen.username, chosen.password) == ("ann", " fake ")
    assert " fake " not in repr(chosen)


def test_every_setting_has_a_key_and_an_explanation() -> None:
    for field in fields(Settings):
        if field.name not in ("on_heroku", "explicit"):
            assert field.metadata["key"].isupper()
            assert field.metadata["explanation"]
