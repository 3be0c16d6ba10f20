"""Where the settings come from: environment over file over defaults, checked before use."""

import configparser
import difflib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path

from tabpy.tabpy_server import config_file, machine, platform_names, setting_warnings
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.package_files import DEFAULT_CONFIG
from tabpy.tabpy_server.settings import Settings

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


@dataclass(frozen=True)
class Loaded:
    """The settings, the file that was read, and what in it or in the environment is no setting."""

    settings: Settings
    config_file: Path
    warnings: list[str]


WITH_BLANKS = ("TABPY_PASSWORD", "TABPY_KEY_PASSWORD")  # those around them are a part of them
CLIENTS = ("TABPY_URL", "TABPY_TOKEN")  # the client's variables, on a machine that has both


def load(config: str | None, environment: Mapping[str, str]) -> Loaded:
    """Return the settings of `environment`, of the file `config` (or the default one), and the
    defaults.

    Raises StartError, one line that names the setting, its value and what would be right.
    """
    file = Path(config) if config is not None else DEFAULT_CONFIG
    in_file = _read(file, environment)
    environment, warnings = platform_names.without_services(environment)
    known = {each.metadata["key"]: each for each in fields(Settings) if each.metadata}
    on_heroku = "DYNO" in environment
    given: dict[str, object] = {}
    explicit = set()
    for key, each in known.items():
        if key in environment:
            value, source = environment[key], "the environment"
        elif on_heroku and (name := platform_names.ON_HEROKU.get(key)) in environment:
            value, source = environment[name], f"the environment ({name})"
        elif key in in_file:
            value, source = in_file[key], str(file)
        else:
            continue
        if key in environment or config is not None:
            explicit.add(key)
        given[each.name] = _parsed(each, value, source)
    settings = _with_defaults(given, on_heroku=on_heroku, explicit=frozenset(explicit))
    _refuse_https_on_heroku(settings)
    _refuse_numpy_where_it_is_not(settings)
    if settings.uses_ray:
        _refuse_ray_where_it_cannot_be(settings)
    if settings.arrow_enable:
        _refuse_flight_where_it_cannot_be(settings)
    warnings += _unknown({*in_file, *environment}, {*known})
    warnings += setting_warnings.of_the_file(file, in_file, known)
    named = {
        "TABPY_MODELS_PATH": [settings.models_path if "TABPY_MODELS_PATH" in explicit else None],
        "TABPY_QUERY_OBJECT_PATH": [settings.query_object_path],
        "TABPY_SCRIPT_READ": settings.script_read,
        "TABPY_SCRIPT_WRITE": settings.script_write,
    }
    warnings += setting_warnings.missing_paths(named)
    if settings.certificate_file is not None and not settings.speaks_https:
        warnings.append(
            "TABPY_CERTIFICATE_FILE is set, but TABPY_TRANSFER_PROTOCOL isn't 'https': what is "
            "sent is not encrypted."
        )
    return Loaded(settings, file, warnings)


def _read(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    try:
        return config_file.read(file, environment)
    except FileNotFoundError:
        raise StartError(f"--config {file}: there is no such file.") from None
    except configparser.NoSectionError as error:
        raise StartError(f"--config {file} has no section [{error.section}].") from None
    except configparser.InterpolationMissingOptionError as error:
        name = error.reference
        raise StartError(f"{file} uses %({name})s, but the environment has no {name}.") from None
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = str(error).replace("\n", " ")
        raise StartError(f"--config {file} can't be read: {reason}") from None


def _parsed(of: Field[object], value: str, source: str) -> object:
    key: str = of.metadata["key"]
    parse: Callable[[str], object] = of.metadata["parse"]
    try:
        return parse(value if key in WITH_BLANKS else value.strip())
    except ValueError as error:
        shown = f"'{value}'" if of.repr else "not right"  # a secret is never shown
        raise StartError(f"{key} is {shown} in {source}: expected {error}.") from None


def _with_defaults(
    given: Mapping[str, object], *, on_heroku: bool, explicit: frozenset[str]
) -> Settings:
    """Fill up with the defaults, which depend on Heroku and on other settings."""
    likely = PRELOAD_ON_A_DYNO if on_heroku else Settings.preload
    defaults: dict[str, object] = {"preload": tuple(filter(_is_installed, likely))}
    if on_heroku:
        # Heroku's router gives up after 30 s.
        defaults["evaluate_timeout"] = defaults["query_timeout"] = 25.0
        defaults["trusted_proxies"] = "*"  # nobody else can reach a dyno
    settings = Settings(
        **{**defaults, **given},  # type: ignore[arg-type] # each parser has its field's type
        on_heroku=on_heroku,
        explicit=explicit,
    )
    if "workers" not in given:
        settings = replace(settings, workers=machine.script_workers(settings.web_processes))
    if "model_memory_mb" not in given:
        settings = replace(settings, model_memory_mb=settings.script_memory_mb / 2)
    return settings


def _refuse_https_on_heroku(settings: Settings) -> None:
    if settings.on_heroku and settings.speaks_https:
        raise StartError(
            "TABPY_TRANSFER_PROTOCOL is 'https', but Heroku's router has the certificate, and "
            "speaks http to the server: set it to http."
        )


def _refuse_numpy_where_it_is_not(settings: Settings) -> None:
    if settings.arguments == "numpy" and not _is_installed("numpy"):
        raise StartError(
            "TABPY_ARGUMENTS is 'numpy', but numpy isn't installed: pip install numpy, or set it "
            "to list."
        )


def _refuse_flight_where_it_cannot_be(settings: Settings) -> None:
    off = "set TABPY_ARROW_ENABLE to false (Prep works without Arrow)."
    if settings.on_heroku:
        raise StartError(
            "TABPY_ARROW_ENABLE is 'true', but Heroku's router leads to one port, and knows no "
            f"Flight: {off}"
        )
    if sys.platform != "linux":
        raise StartError(
            f"TABPY_ARROW_ENABLE is 'true', but Arrow Flight needs Linux, and this is "
            f"{sys.platform}: {off}"
        )
    if not _is_installed("pyarrow"):
        raise StartError(
            "TABPY_ARROW_ENABLE is 'true', but pyarrow isn't installed: pip install "
            f"'.[flight]', or add pyarrow to requirements.txt; or {off}"
        )
    if settings.arrowflight_port == settings.port:
        raise StartError(
            f"TABPY_ARROWFLIGHT_PORT is {settings.port}, and so is TABPY_PORT: each needs a port "
            "of its own."
        )


def _refuse_ray_where_it_cannot_be(settings: Settings) -> None:
    here = "set TABPY_EXECUTOR to local"
    if sys.platform != "linux":
        raise StartError(
            f"TABPY_EXECUTOR is 'ray', which needs Linux, and this is {sys.platform}: {here}."
        )
    if not _is_installed("ray"):
        raise StartError(
            "TABPY_EXECUTOR is 'ray', but Ray isn't installed: pip install '.[ray]' (see "
            f"docs/ray.md for the Python versions that have it), or {here}."
        )
    if not settings.ray_address:
        raise StartError(
            "TABPY_EXECUTOR is 'ray', but RAY_ADDRESS is not set: it is host:port of the "
            f"cluster's head node; or {here}."
        )
    if settings.arrow_enable:
        raise StartError(
            "TABPY_ARROW_ENABLE is 'true' and TABPY_EXECUTOR is 'ray': Arrow tables stay in this "
            f"machine's memory, where no node can read them. Set one of them otherwise: {here}, "
            "or TABPY_ARROW_ENABLE to false (Prep works without Arrow)."
        )
    if settings.ray_min_workers > settings.workers:
        raise StartError(
            f"TABPY_RAY_MIN_WORKERS is {settings.ray_min_workers}, which is more than "
            f"TABPY_WORKERS, {settings.workers}: the former are there without jobs, the latter at "
            "most."
        )


def _unknown(given: set[str], known: set[str]) -> list[str]:
    warnings = []
    for key in sorted(given - known):
        if not key.startswith("TABPY_") or key in CLIENTS:
            continue
        near = difflib.get_close_matches(key, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        warnings.append(f"{key} is no setting of this server.{hint}")
    return warnings
