"""All settings in one frozen object: environment over file over defaults, checked before use.

The keys are TabPy's, so its config files go on working; `docs/settings.md` lists them all.
"""

import configparser
import difflib
import importlib.util
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tabpy.tabpy_server import machine
from tabpy.tabpy_server.errors import StartError

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parent.parent
DEFAULT_CONFIG = PACKAGE / "common" / "default.conf"
OUR_PAGE = PACKAGE / "static"
SECTION = "TabPy"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a server is there to be reached
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def _text(value: str) -> str:
    return value


def _flag(value: str) -> bool:
    if value.lower() not in TRUE + FALSE:
        raise ValueError("true or false")
    return value.lower() in TRUE


def _port(value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ValueError("a port number from 1 to 65535")
    return int(value)


def _address(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise ValueError("an IPv4 address, such as 127.0.0.1") from None


def _proxies(value: str) -> str:
    for each in value.split(","):
        try:
            if each.strip() not in ("*", ""):
                ipaddress.ip_address(each.strip())
        except ValueError:
            raise ValueError("addresses separated by commas, or *") from None
    return value


def _folder(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_dir():
        raise ValueError("a folder that exists")
    return path


def _positive(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("a number above 0")
    return number


def _count(value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) < 1000:
        raise ValueError("a whole number from 1 to 999")
    return int(value)


def _protocol(value: str) -> str:
    if value.lower() not in ("http", "https"):
        raise ValueError("http or https")
    return value.lower()


def _level(value: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if value.upper() not in levels:
        raise ValueError(f"one of {', '.join(levels)}")
    return value.upper()


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError("module names separated by commas")
    return names


def _postgres(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if value and (scheme not in ("postgres", "postgresql", "postgresql+psycopg") or not rest):
        raise ValueError("postgres://user:password@host/name, or nothing")
    return value


def _path(value: str) -> Path | None:
    return Path(value).expanduser() if value else None


def user_folder() -> Path:
    """Where this user's programs keep data, by the custom of the operating system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "tabpy"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "tabpy"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "tabpy"


def _setting(
    key: str, default: Any, parse: Callable[[str], Any], explanation: str, *, secret: bool = False
) -> Any:
    made = {"default_factory": default} if callable(default) else {"default": default}
    return field(
        **made, metadata={"key": key, "parse": parse, "explanation": explanation}, repr=not secret
    )


# Imported by each of four workers for itself, scikit-learn alone would take most of a small dyno.
PRELOAD_ON_A_DYNO = (
    "numpy",
    "pandas",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.ensemble",
    "sklearn.linear_model",
)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server was told. `explicit` has the keys that somebody set, not a default; a
    default of None is worked out from the machine by `load`."""

    port: int = _setting("TABPY_PORT", 9004, _port, "where the server listens")
    address: str = _setting(
        "TABPY_ADDRESS", EVERYWHERE, _address, "on which of this machine's addresses it listens"
    )
    pwd_file: Path | None = _setting(
        "TABPY_PWD_FILE", Path("tabpypwd.txt"), _path, "the file of users and password hashes"
    )
    username: str = _setting("TABPY_USERNAME", "", _text, "one more user, beside the file's")
    password: str = _setting("TABPY_PASSWORD", "", _text, "that user's password", secret=True)
    state_path: Path = _setting(
        "TABPY_STATE_PATH", user_folder, _path, "where the server keeps what it has to remember"
    )
    query_object_path: Path | None = _setting(
        "TABPY_QUERY_OBJECT_PATH", None, _path, "TabPy's folder for model files"
    )
    static_path: Path = _setting("TABPY_STATIC_PATH", OUR_PAGE, _folder, "the page's files")
    transfer_protocol: str = _setting(
        "TABPY_TRANSFER_PROTOCOL", "http", _protocol, "http, or https with a certificate of its own"
    )
    log_details: bool = _setting(
        "TABPY_LOG_DETAILS", False, _flag, "caller, URL and Tableau client in each log line"
    )
    log_level: str = _setting(
        "TABPY_LOG_LEVEL", "INFO", _level, "DEBUG also logs what scripts print"
    )
    max_request_size_mb: float = _setting(
        "TABPY_MAX_REQUEST_SIZE_MB", 100.0, _positive, "larger requests are refused"
    )
    evaluate_enable: bool = _setting(
        "TABPY_EVALUATE_ENABLE", True, _flag, "whether dashboards may send scripts"
    )
    evaluate_timeout: float = _setting(
        "TABPY_EVALUATE_TIMEOUT", 30.0, _positive, "seconds a script may take, waiting included"
    )
    gzip_enable: bool = _setting("TABPY_GZIP_ENABLE", True, _flag, "gzip in requests")
    arrow_enable: bool = _setting("TABPY_ARROW_ENABLE", False, _flag, "Arrow Flight for Prep")
    oauth_enabled: bool = _setting("TABPY_OAUTH_ENABLED", False, _flag, "JWT bearer tokens")
    preload: tuple[str, ...] = _setting(
        "TABPY_PRELOAD", ("numpy", "pandas"), _names, "modules that workers have already imported"
    )
    workers: int = _setting("TABPY_WORKERS", None, _count, "script workers, a web process")
    script_memory_mb: float = _setting(
        "TABPY_SCRIPT_MEMORY_MB", None, _positive, "what a script may take"
    )
    long_scripts: bool = _setting(
        "TABPY_LONG_SCRIPTS", False, _flag, "keep the router waiting with blanks in the reply"
    )
    web_processes: int = _setting("WEB_CONCURRENCY", 2, _count, "web processes")
    trusted_proxies: str = _setting(
        "FORWARDED_ALLOW_IPS", "127.0.0.1,::1", _proxies, "whose X-Forwarded headers count, or *"
    )
    database_url: str = _setting(
        "DATABASE_URL", "", _postgres, "the Postgres that keeps deployed functions", secret=True
    )
    keep_versions: int = _setting(
        "TABPY_KEEP_VERSIONS", 5, _count, "versions of each function that can be brought back"
    )
    max_upload_size_mb: float = _setting(
        "TABPY_MAX_UPLOAD_SIZE_MB", 500.0, _positive, "larger archives of functions are refused"
    )
    model_memory_mb: float = _setting(
        "TABPY_MODEL_MEMORY_MB", None, _positive, "loaded functions that a worker keeps"
    )
    models_path: Path | None = _setting(
        "TABPY_MODELS_PATH", CHECKOUT / "models", _path, "modules whose functions deploy at boot"
    )
    on_heroku: bool = False
    explicit: frozenset[str] = frozenset()

    @property
    def drain_timeout(self) -> float:
        """Seconds a stopping server waits for its scripts: Heroku kills it after 30, and the reply
        has to be out before."""
        return min(self.evaluate_timeout, 22.0) if self.on_heroku else self.evaluate_timeout


@dataclass(frozen=True)
class Loaded:
    settings: Settings
    config_file: Path
    warnings: list[str]


# Keys of TabPy's and what they need to be for this version, which doesn't do what they ask for.
# Starting without it would be less protection than somebody asked for.
NOT_BUILT = {
    "TABPY_TRANSFER_PROTOCOL": ("http", "put a reverse proxy with the certificate in front"),
    "TABPY_ARROW_ENABLE": (False, "Prep works without Arrow"),
    "TABPY_OAUTH_ENABLED": (False, "Basic authentication is what Tableau uses"),
}
DEPENDENT = (
    "TABPY_CERTIFICATE_FILE",
    "TABPY_KEY_FILE",
    "TABPY_MINIMUM_TLS_VERSION",
    "TABPY_ARROWFLIGHT_PORT",
    "TABPY_OAUTH_",
)  # without effect unless one above is on


def load(config: str | None, environment: Mapping[str, str]) -> Loaded:
    """Settings from `environment`, the file `config` (or the default one), and the defaults.

    Raises StartError, one line that names the setting, its value and what would be right.
    """
    file = Path(config) if config is not None else DEFAULT_CONFIG
    in_file = _read(file, environment)
    known = {each.metadata["key"]: each for each in fields(Settings) if each.metadata}
    on_heroku = "DYNO" in environment
    values: dict[str, Any] = {"on_heroku": on_heroku}
    explicit = set()
    for key, each in known.items():
        if key in environment:
            value, source = environment[key], "the environment"
        elif key == "TABPY_PORT" and on_heroku and "PORT" in environment:
            value, source = environment["PORT"], "the environment (PORT)"
        elif key in in_file:
            value, source = in_file[key], str(file)
        else:
            continue
        if key in environment or config is not None:
            explicit.add(key)
        try:
            values[each.name] = each.metadata["parse"](
                value.strip() if key != "TABPY_PASSWORD" else value
            )
        except ValueError as right:
            shown = "not right" if not each.repr else f"'{value}'"  # a secret is never shown
            raise StartError(f"{key} is {shown} in {source}: expected {right}.") from None
    likely = PRELOAD_ON_A_DYNO if on_heroku else Settings.preload
    values.setdefault("preload", tuple(filter(_is_installed, likely)))
    if on_heroku:
        values.setdefault("evaluate_timeout", 25.0)  # Heroku's router gives up after 30 s
        values.setdefault("trusted_proxies", "*")  # nobody else can reach a dyno
    web_processes = values.get("web_processes", Settings.web_processes)
    values.setdefault("workers", machine.script_workers(web_processes))
    script_memory = values.setdefault("script_memory_mb", machine.script_memory_mb())
    values.setdefault("model_memory_mb", script_memory / 2)
    settings = Settings(**values, explicit=frozenset(explicit))
    for key, (built, instead) in NOT_BUILT.items():
        value = getattr(settings, known[key].name)
        if value != built:
            raise StartError(
                f"{key} is '{str(value).lower()}', which this version can't do yet: set it to "
                f"{str(built).lower()} ({instead})."
            )
    return Loaded(settings, file, _unknown({*in_file, *environment}, {*known}))


def _read(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    # Raw, since a % in some variable or value must not stop the start; names keep their case.
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str.upper  # type: ignore[assignment, method-assign]
    try:
        with file.open(encoding="utf-8-sig") as text:
            parser.read_file(text)
    except FileNotFoundError:
        raise StartError(f"--config {file}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, configparser.Error) as problem:
        reason = str(problem).replace("\n", " ")
        raise StartError(f"--config {file} can't be read: {reason}") from None
    if not parser.has_section(SECTION):
        raise StartError(f"--config {file} has no section [{SECTION}].")
    section = dict(parser.items(SECTION))

    def substitute(match: re.Match[str]) -> str:
        name = match[1]
        value = environment.get(name, section.get(name.upper()))
        if value is None:
            raise StartError(f"{file} uses %({name})s, but the environment has no {name}.")
        return value

    return {
        key: re.sub(r"%\(([^)]*)\)s", substitute, value).replace("%%", "%")
        for key, value in section.items()
    }


def _unknown(given: set[str], known: set[str]) -> list[str]:
    warnings = []
    for key in sorted(given - known):
        if not key.startswith("TABPY_") or key.startswith(DEPENDENT):
            continue
        near = difflib.get_close_matches(key, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        warnings.append(f"{key} is no setting of this server.{hint}")
    return warnings
