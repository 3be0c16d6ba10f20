"""What scripts see of the environment: differences 3."""

from collections.abc import Mapping

import pytest

from tabpy.tabpy_server import loaded_settings
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.workers.fork_server.environment import (
    ScriptEnvironment,
    script_environment,
)

DATABASE = "postgres://tabpy:s3cret%2Fs3cret@db.invalid/data"


def seen(environment: Mapping[str, str], named: str = "") -> ScriptEnvironment:
    given = {**environment, "TABPY_SCRIPT_ENV": named}
    return script_environment(given, loaded_settings.load(None, given).settings)


@pytest.mark.parametrize("name", ["EIA_API_KEY", "AWS_SECRET_ACCESS_KEY", "TABPY_PORT", "PORT"])
def test_what_nobody_named_is_hidden(name: str) -> None:
    # differences 3
    assert name not in seen({name: "9005"}).variables


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY",
        "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "LC_ALL", "PATH",
    ],
)  # fmt: skip
def test_what_a_script_needs_to_reach_others_it_sees_by_default(name: str) -> None:
    # differences 3
    assert seen({name: "x"}).variables[name] == "x"


@pytest.mark.parametrize("named", ["EIA_API_KEY", "NLTK_DATA, EIA_*", "*_KEY", "*"])
def test_a_setting_names_more(named: str) -> None:
    # differences 3
    assert seen({"EIA_API_KEY": "key"}, named) == ({**seen({}).variables, "EIA_API_KEY": "key"}, [])


@pytest.mark.parametrize("named", ["EIA_API", "eia_api_key", "IA_*", "*_KE"])
def test_a_name_is_meant_as_it_is_written(named: str) -> None:
    # differences 3
    assert "EIA_API_KEY" not in seen({"EIA_API_KEY": "key"}, named).variables


@pytest.mark.parametrize(
    ("environment", "withheld"),
    [
        ({"TABPY_USERNAME": "u", "TABPY_PASSWORD": "s3cret-s3cret"}, []),
        ({"TABPY_PASSWORD": "s3cret-s3cret", "ITS_SOURCE": "s3cret-s3cret"}, ["ITS_SOURCE"]),
        ({"TABPY_PASSWORD": "s3cret-s3cret", "LOGIN": "u:s3cret-s3cret"}, ["LOGIN"]),
        ({"TABPY_PASSWORD": "s3", "SAME": "s3"}, ["SAME"]),
        ({"TABPY_CERTIFICATE_PASSPHRASE": "s3cret-s3cret"}, []),
        ({"DYNO": "web.1", "DATABASE_URL": DATABASE}, ["DATABASE_URL"]),
        (
            {"DYNO": "web.1", "DATABASE_URL": DATABASE, "HEROKU_POSTGRESQL_RED_URL": DATABASE},
            ["DATABASE_URL", "HEROKU_POSTGRESQL_RED_URL"],
        ),
        (
            {"DYNO": "web.1", "DATABASE_URL": DATABASE, "PGPASSWORD": "s3cret/s3cret"},
            ["DATABASE_URL", "PGPASSWORD"],
        ),
        ({"DYNO": "web.1", "USERNAME": "u", "PASSWORD": "s3cret-s3cret"}, ["PASSWORD"]),
    ],
)
def test_no_setting_shows_a_secret_of_the_servers(
    environment: dict[str, str], withheld: list[str]
) -> None:
    # differences 3
    found = seen(environment, "*")
    assert "s3" not in str(found.variables)
    assert found.withheld == withheld


def test_a_short_secret_hides_only_what_it_equals() -> None:
    # differences 3
    assert seen({"TABPY_PASSWORD": "a", "NAME": "Anna"}, "NAME").variables["NAME"] == "Anna"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("TABPY_PASSWORD", "expected names that don't begin with TABPY_"),
        ("EIA_API_KEY=1", "expected names of variables separated by commas"),
        ("A B", "expected names of variables separated by commas"),
    ],
)
def test_names_that_cannot_be_right_stop_the_start(named: str, expected: str) -> None:
    # differences 3
    with pytest.raises(StartError, match=f"^TABPY_SCRIPT_ENV is '{named}' .*: {expected}"):
        seen({}, named)


def test_on_windows_names_have_no_case(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"EIA_API_KEY": "key", "TABPY_SCRIPT_ENV": "Eia_Api_*"}
    loaded = loaded_settings.load(None, given).settings
    monkeypatch.setattr("sys.platform", "win32")  # where `os.environ` has upper case
    assert script_environment(given, loaded).variables["EIA_API_KEY"] == "key"


@pytest.mark.parametrize("name", ["SYSTEMROOT", "USERPROFILE", "COMSPEC", "LOCALAPPDATA"])
def test_what_programs_need_on_windows_scripts_see(name: str) -> None:
    assert seen({name: "x"}).variables[name] == "x"
