"""Settings: environment over file over defaults, and what is no setting."""

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tabpy.tabpy_server import loaded_settings, machine, package_files
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.loaded_settings import load
from tabpy.tabpy_server.rights import ALL
from tabpy.tabpy_server.settings import Settings, user_folder


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
    assert loaded.config_file == package_files.DEFAULT_CONFIG


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


@pytest.mark.parametrize("text", ["query,evaluate", " evaluate , query "])
def test_rights_are_words_with_commas(text: str) -> None:
    assert load(None, {"TABPY_RIGHTS": text}).settings.rights == ("query", "evaluate")


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
        ("TABPY_RIGHTS", "query,admin"),
        ("TABPY_RIGHTS", "query,,deploy"),
        ("TABPY_RIGHTS", "query,query"),
        ("WEB_CONCURRENCY", "1000"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_its_source(key: str, value: str) -> None:
    with pytest.raises(StartError, match=rf"^{key} is '{value}' in the environment: expected "):
        load(None, {key: value})


# What a setting means that is there and empty: either it is refused, or this is its value.
REFUSED = object()
EMPTY: dict[str, object] = {
    "TABPY_SCRIPT_ENV": (),
    "TABPY_QUERY_TIMEOUT": REFUSED,
    "TABPY_PORT": REFUSED,
    "TABPY_ADDRESS": REFUSED,
    "TABPY_PWD_FILE": None,
    "TABPY_USERNAME": "",
    "TABPY_PASSWORD": "",
    "TABPY_RIGHTS": ALL,
    "TABPY_STATE_PATH": REFUSED,
    "TABPY_QUERY_OBJECT_PATH": None,
    "TABPY_STATIC_PATH": REFUSED,
    "TABPY_TRANSFER_PROTOCOL": REFUSED,
    "TABPY_CERTIFICATE_FILE": None,
    "TABPY_KEY_FILE": None,
    "TABPY_KEY_PASSWORD": "",
    "TABPY_KEY_PASSWORD_FILE": None,
    "TABPY_MINIMUM_TLS_VERSION": REFUSED,
    "TABPY_LOG_DETAILS": REFUSED,
    "TABPY_LOG_PRINTED": REFUSED,
    "TABPY_LOG_LEVEL": REFUSED,
    "TABPY_MAX_REQUEST_SIZE_MB": REFUSED,
    "TABPY_EVALUATE_ENABLE": REFUSED,
    "TABPY_EVALUATE_TIMEOUT": REFUSED,
    "TABPY_RESULT_CACHE_MB": REFUSED,
    "TABPY_RESULT_CACHE_SECONDS": REFUSED,
    "TABPY_GZIP_ENABLE": REFUSED,
    "TABPY_ARROW_ENABLE": REFUSED,
    "TABPY_ARROWFLIGHT_PORT": REFUSED,
    "TABPY_ARROWFLIGHT_LOCATION": "",
    "TABPY_ARROW_TABLES": REFUSED,
    "TABPY_ARROW_MEMORY_MB": REFUSED,
    "TABPY_ARROW_TABLE_SECONDS": REFUSED,
    "TABPY_OAUTH_ENABLED": REFUSED,
    "TABPY_OAUTH_ISSUER": "",
    "TABPY_OAUTH_JWKS_URI": "",
    "TABPY_OAUTH_AUDIENCE": "",
    "TABPY_OAUTH_REQUIRED_SCOPES": (),
    "TABPY_OAUTH_QUERY_SCOPE": "",
    "TABPY_OAUTH_EVALUATE_SCOPE": "",
    "TABPY_OAUTH_DEPLOY_SCOPE": "",
    "TABPY_OAUTH_ENFORCE_ENDPOINT_SCOPES": REFUSED,
    "TABPY_OAUTH_ALLOW_NONPUBLIC_JWKS": REFUSED,
    "TABPY_OAUTH_LOG_USER": REFUSED,
    "TABPY_PRELOAD": (),
    "TABPY_WORKERS": REFUSED,
    "TABPY_EXECUTOR": REFUSED,
    "RAY_ADDRESS": "",
    "TABPY_RAY_MIN_WORKERS": REFUSED,
    "TABPY_SCRIPT_MEMORY_MB": REFUSED,
    "TABPY_SCRIPT_ISOLATION": REFUSED,
    "TABPY_ARGUMENTS": REFUSED,
    "TABPY_SCRIPT_CONFINEMENT": REFUSED,
    "TABPY_SCRIPT_READ": (),
    "TABPY_SCRIPT_WRITE": (),
    "TABPY_SCRIPT_NETWORK": REFUSED,
    "TABPY_LONG_SCRIPTS": REFUSED,
    "WEB_CONCURRENCY": REFUSED,
    "TABPY_HOST_NAMES": (),
    "FORWARDED_ALLOW_IPS": "",
    "TABPY_DATABASE_URL": "",
    "TABPY_KEEP_VERSIONS": REFUSED,
    "TABPY_MAX_UPLOAD_SIZE_MB": REFUSED,
    "TABPY_MODEL_MEMORY_MB": REFUSED,
    "TABPY_MODELS_PATH": None,
}
FIELDS = {each.metadata["key"]: each.name for each in fields(Settings) if each.metadata}


@pytest.mark.parametrize("key", [*FIELDS, *(EMPTY.keys() - FIELDS.keys())])
@pytest.mark.parametrize("given", ["environment", "file"])
def test_an_empty_value_is_decided_for_each_setting(key: str, given: str, file: Path) -> None:
    assert key in FIELDS, "there is no such setting any more"
    assert key in EMPTY, "decide what it means when it's empty, and say it in docs/settings.md"
    file.write_text(f"[TabPy]\n{key} =\n" if given == "file" else "[TabPy]\n")
    environment = {} if given == "file" else {key: ""}
    if EMPTY[key] is not REFUSED:
        assert getattr(load(str(file), environment).settings, FIELDS[key]) == EMPTY[key]
        return
    source = {"environment": "the environment", "file": str(file)}[given]
    with pytest.raises(StartError) as refused:
        load(str(file), environment)
    line = str(refused.value)
    assert line.startswith(f"{key} is '' in {source}: expected ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 300.0),
        ({"TABPY_EVALUATE_TIMEOUT": "3"}, 300.0),
        ({"DYNO": "web.1"}, 25.0),
        ({"DYNO": "web.1", "TABPY_QUERY_TIMEOUT": "50"}, 50.0),
    ],
)
def test_functions_have_a_time_of_their_own(environment: dict[str, str], seconds: float) -> None:
    # differences 11
    assert load(None, environment).settings.query_timeout == seconds


def test_an_empty_port_of_heroku_is_refused() -> None:
    with pytest.raises(
        StartError, match=r"^TABPY_PORT is '' in the environment \(PORT\): expected"
    ):
        load(None, {"DYNO": "web.1", "PORT": ""})


def test_where_the_system_names_no_folder_the_state_is_not_in_the_working_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, "")
    assert user_folder().is_absolute()


def test_without_a_home_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(StartError, match=r"There is no HOME, .* set TABPY_STATE_PATH to a folder"):
        load(None, {})
    assert load(None, {"TABPY_STATE_PATH": "/state"}).settings.state_path == Path("/state")


def test_a_home_that_nobody_has_is_no_path() -> None:
    with pytest.raises(StartError, match="expected a path without ~: there is no such home"):
        load(None, {"TABPY_STATE_PATH": "~nobody-of-that-name/state"})


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("", ()),
        ("*", ("*",)),
        ("TabPy.example.com", ("tabpy.example.com",)),
        ("a, b_c.d-e ,", ("a", "b_c.d-e")),
    ],
)
def test_host_names_are_separated_by_commas(written: str, names: tuple[str, ...]) -> None:
    assert load(None, {"TABPY_HOST_NAMES": written}).settings.host_names == names


@pytest.mark.parametrize("wrong", ["http://x", "x:9004", "x y", "*.example.com", "-x", "x."])
def test_what_is_no_host_name_is_named(wrong: str) -> None:
    with pytest.raises(StartError, match=r"TABPY_HOST_NAMES is .* without http:// and port"):
        load(None, {"TABPY_HOST_NAMES": f"a, {wrong}"})


@pytest.mark.parametrize(
    "allowed",
    ["*", "10.0.0.5", "10.0.0.0/8", "10.0.0.0/8, ::1", "2001:db8::/32,192.0.2.1,", "fe80::1%eth0"],
)
def test_proxies_are_addresses_and_networks(allowed: str) -> None:
    assert load(None, {"FORWARDED_ALLOW_IPS": allowed}).settings.trusted_proxies == allowed


@pytest.mark.parametrize("wrong", ["10.0.0.5/8", "10.0.0.0/33", "10.0.0", "/8", "proxy", "*/8"])
def test_what_is_no_network_is_no_proxy(wrong: str) -> None:
    with pytest.raises(
        StartError, match=rf"FORWARDED_ALLOW_IPS is '.*{wrong[-2:]}' .*10\.0\.0\.0/8"
    ):
        load(None, {"FORWARDED_ALLOW_IPS": f"::1, {wrong}"})


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"TABPY_EVALUATE_TIMEOUT": "600"}, 600.0),
        ({"TABPY_EVALUATE_TIMEOUT": "600", "DYNO": "web.1"}, 22.0),  # SIGKILL comes after 30
        ({"TABPY_EVALUATE_TIMEOUT": "10", "DYNO": "web.1"}, 10.0),
        ({"DYNO": "web.1"}, 22.0),
    ],
)
def test_a_drain_lasts_as_long_as_a_script_but_not_longer_than_heroku_waits(
    environment: dict[str, str], seconds: float
) -> None:
    assert load(None, environment).settings.drain_timeout == seconds


@pytest.mark.parametrize("url", ["postgres://ann@db/x", "mysql://ann@db/x"])
def test_a_database_url_is_ours_on_heroku_and_another_programs_elsewhere(
    url: str,
) -> None:  # differences 28
    assert load(None, {"DATABASE_URL": url}).settings.database_url == ""
    assert load(None, {"TABPY_DATABASE_URL": "postgres://ann@db/y"}).settings.database_url
    dyno = {"DYNO": "web.1", "DATABASE_URL": "postgres://ann@db/x"}
    assert load(None, dyno).settings.database_url == "postgres://ann@db/x"
    chosen = load(None, {**dyno, "TABPY_DATABASE_URL": ""}).settings
    assert chosen.database_url == "", "somebody wants none"


KUBERNETES = {
    "TABPY_PORT": "tcp://10.3.240.1:9004",
    "TABPY_SERVICE_HOST": "10.3.240.1",
    "TABPY_SERVICE_PORT": "9004",
    "TABPY_SERVICE_PORT_HTTP": "9004",
    "TABPY_PORT_9004_TCP": "tcp://10.3.240.1:9004",
    "TABPY_PORT_9004_TCP_PROTO": "tcp",
    "TABPY_PORT_9004_TCP_ADDR": "10.3.240.1",
}


def test_what_kubernetes_says_of_a_service_named_tabpy_is_no_setting(
    file: Path,
) -> None:  # differences 7
    file.write_text("[TabPy]\nTABPY_PORT = 9100\n")
    loaded = load(str(file), KUBERNETES)
    assert loaded.settings.port == 9100
    [warning] = loaded.warnings
    assert warning.startswith("TABPY_PORT is 'tcp://10.3.240.1:9004' in the environment")
    assert load(None, KUBERNETES).settings.port == 9004
    assert load(None, {"TABPY_PORT": "UDP://10.3.240.1:9004"}).settings.port == 9004


def test_workers_and_their_memory_follow_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "script_workers", lambda web_processes: 10 * web_processes)
    monkeypatch.setattr(machine, "memory_mb", lambda: 600.0 + machine.SERVER_MB)
    chosen = load(None, {"WEB_CONCURRENCY": "3"}).settings
    assert (chosen.workers, chosen.script_memory_mb, chosen.model_memory_mb) == (30, 300.0, 150.0)
    chosen = load(None, {"TABPY_SCRIPT_MEMORY_MB": "80", "TABPY_WORKERS": "1"}).settings
    assert (chosen.workers, chosen.script_memory_mb, chosen.model_memory_mb) == (1, 80.0, 40.0)


def test_a_secret_that_is_wrong_is_not_shown() -> None:
    with pytest.raises(StartError, match=r"^TABPY_DATABASE_URL is not right in the environment"):
        load(None, {"TABPY_DATABASE_URL": "mysql://ann:fake@db/x"})


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


def test_a_line_of_the_file_without_the_prefix_is_a_warning(file: Path) -> None:
    file.write_text("[TabPy]\nEVALUATE_TIMEOUT = 5\nFOLDER = /data\n")
    loaded = load(str(file), {"PORT": "1", "USERNAME": "me"})
    assert loaded.settings.evaluate_timeout == 30.0
    assert loaded.warnings == [
        f"EVALUATE_TIMEOUT in {file} is no setting of this server. "
        "Did you mean TABPY_EVALUATE_TIMEOUT?"
    ]


def test_a_line_that_another_one_takes_in_needs_no_prefix(file: Path) -> None:
    file.write_text("[TabPy]\nPORT = 5\nTABPY_PORT = %(PORT)s\n")
    loaded = load(str(file), {})
    assert (loaded.settings.port, loaded.warnings) == (5, [])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "[TabPy]\nTABPY_PORT = 5\ntabpy_port = 6\n",
            "sets TABPY_PORT more than once, again in line 3",
        ),
        (
            "[TabPy]\nTABPY_PORT = 5\n[TabPy]\nTABPY_PORT = 6\n",
            "has more than one section [TabPy], again in line 3",
        ),
    ],
)
def test_what_the_file_has_twice_is_a_warning(file: Path, text: str, what: str) -> None:
    file.write_text(text)
    loaded = load(str(file), {})
    assert loaded.settings.port == 6
    assert loaded.warnings == [f"{file} {what}: the last one counts. Remove the others."]


@pytest.mark.parametrize(
    "key",
    ["TABPY_MODELS_PATH", "TABPY_QUERY_OBJECT_PATH", "TABPY_SCRIPT_READ", "TABPY_SCRIPT_WRITE"],
)
def test_a_folder_that_is_not_there_is_a_warning(tmp_path: Path, key: str) -> None:
    [warning] = load(None, {key: str(tmp_path / "gone")}).warnings
    assert warning.startswith(f"{key} names '{tmp_path / 'gone'}', which isn't there: ")
    assert load(None, {key: str(tmp_path)}).warnings == []


@pytest.mark.parametrize("key", ["HOME", "TABPY_KEY_FILE", "TABPY_OAUTH_ISSUER"])
def test_what_is_somebody_elses_or_without_effect_is_no_warning(key: str) -> None:
    assert load(None, {key: "x"}).warnings == []


@pytest.mark.parametrize("text", ["user", "viewer", "job", "off", "Viewer", "OFF"])
def test_isolation_is_read_in_any_case(text: str) -> None:
    chosen = load(None, {"TABPY_SCRIPT_ISOLATION": text}).settings
    assert chosen.script_isolation == text.lower()


# --- https ---


def test_a_certificate_without_https_is_a_warning() -> None:
    given = {"TABPY_CERTIFICATE_FILE": "chain.pem"}
    [warning] = load(None, given).warnings
    assert "TABPY_TRANSFER_PROTOCOL isn't 'https': what is sent is not encrypted" in warning
    assert load(None, {**given, "TABPY_TRANSFER_PROTOCOL": "https"}).warnings == []


@pytest.mark.parametrize("text", ["TLSv1_3", "tlsv1_3", " TLSv1_3 "])
def test_the_oldest_version_of_tls_is_one_that_is_safe(text: str) -> None:
    assert load(None, {"TABPY_MINIMUM_TLS_VERSION": text}).settings.minimum_tls_version == "TLSv1_3"


@pytest.mark.parametrize(
    "text", ["TLSv1_1", "TLSv1", "SSLv3", "MINIMUM_SUPPORTED", "__class__", "TLSv1.3", "1.3", ""]
)
def test_a_mistyped_version_of_tls_never_weakens_it(text: str) -> None:
    with pytest.raises(StartError, match=r"TABPY_MINIMUM_TLS_VERSION is .*TLSv1_2 or TLSv1_3"):
        load(None, {"TABPY_MINIMUM_TLS_VERSION": text})


def test_a_pass_phrase_keeps_its_spaces_and_is_not_shown() -> None:
    chosen = load(None, {"TABPY_KEY_PASSWORD": " fake "}).settings
    assert chosen.key_password == " fake "
    assert "fake" not in repr(chosen)


def test_heroku_has_its_own_certificate() -> None:
    with pytest.raises(StartError, match=r"Heroku's router has the certificate.*: set it to http"):
        load(None, {"DYNO": "web.1", "TABPY_TRANSFER_PROTOCOL": "https"})


def test_a_password_keeps_its_spaces_and_is_not_shown() -> None:
    chosen = load(None, {"TABPY_USERNAME": " ann ", "TABPY_PASSWORD": " fake "}).settings
    assert (chosen.username, chosen.password) == ("ann", " fake ")
    assert " fake " not in repr(chosen)


def test_every_setting_has_a_key_and_an_explanation() -> None:
    for field in fields(Settings):
        if field.name not in ("on_heroku", "explicit"):
            assert field.metadata["key"].isupper()
            assert field.metadata["explanation"]


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"DYNO": "web.1"}, "TABPY_ARROW_ENABLE is 'true', but Heroku's router leads to one port"),
        (
            {"TABPY_ARROWFLIGHT_PORT": "9004"},
            "_PORT is 9004, and so is TABPY_PORT: each",
        ),
        ({"TABPY_ARROWFLIGHT_PORT": "0"}, "TABPY_ARROWFLIGHT_PORT is '0' in the environment"),
        ({"TABPY_ARROWFLIGHT_LOCATION": "tabpy.example.com"}, "expected grpc\\+tls://host:port"),
        ({"TABPY_ARROWFLIGHT_LOCATION": "grpc://host"}, "expected grpc\\+tls://host:port"),
        ({"TABPY_ARROWFLIGHT_LOCATION": "http://host:1"}, "expected grpc\\+tls://host:port"),
        ({"TABPY_ARROWFLIGHT_LOCATION": "grpc://host:1/path"}, "expected grpc\\+tls://host:port"),
    ],
)
def test_arrow_flight_where_it_cannot_be_is_no_start(
    environment: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded_settings, "_is_installed", lambda _: True)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(StartError, match=line):
        load(None, {"TABPY_ARROW_ENABLE": "true", **environment})
    assert not load(None, {"TABPY_ARROWFLIGHT_PORT": "9004"}).settings.arrow_enable


@pytest.mark.parametrize(
    ("platform", "installed", "line"),
    [
        ("darwin", True, "needs Linux, and this is darwin: set TABPY_ARROW_ENABLE to false"),
        ("linux", False, "pyarrow isn't installed: pip install '.\\[flight\\]'"),
    ],
)
def test_arrow_flight_needs_linux_and_pyarrow(
    platform: str, installed: bool, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded_settings, "_is_installed", lambda _: installed)
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(StartError, match=line):
        load(None, {"TABPY_ARROW_ENABLE": "true"})


ON_RAY = {"TABPY_EXECUTOR": "ray", "RAY_ADDRESS": "ray-head:6379"}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"RAY_ADDRESS": ""}, "RAY_ADDRESS is not set: it is host:port"),
        (
            {"RAY_ADDRESS": "ray://ray-head:10001"},
            "RAY_ADDRESS is 'ray://ray-head:10001' .*ray:// is too slow",
        ),
        ({"RAY_ADDRESS": "ray-head"}, "RAY_ADDRESS is 'ray-head' in the environment: expected"),
        (
            {"TABPY_WORKERS": "2", "TABPY_RAY_MIN_WORKERS": "3"},
            "TABPY_RAY_MIN_WORKERS is 3, which is more than TABPY_WORKERS, 2",
        ),
    ],
    ids=["nowhere", "client", "no port", "more than most"],
)
def test_a_ray_cluster_has_to_be_somewhere(
    more: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded_settings, "_is_installed", lambda _: True)
    with pytest.raises(StartError, match=line):
        load(None, {**ON_RAY, **more})


@pytest.mark.parametrize(
    ("system", "installed", "line"),
    [
        ("darwin", True, "TABPY_EXECUTOR is 'ray', which needs Linux, and this is darwin"),
        ("linux", False, "Ray isn't installed: pip install '.\\[ray\\]'"),
    ],
)
def test_ray_needs_linux_and_its_package(
    system: str, installed: bool, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(loaded_settings, "_is_installed", lambda _: installed)
    with pytest.raises(StartError, match=line):
        load(None, ON_RAY)


def test_arrow_tables_do_not_go_to_a_ray_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_settings, "_is_installed", lambda _: True)
    with pytest.raises(StartError, match="ARROW_ENABLE is 'true' and TABPY_EXECUTOR is 'ray'"):
        load(None, {**ON_RAY, "TABPY_ARROW_ENABLE": "true"})
