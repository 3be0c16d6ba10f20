"""All settings in one frozen object.

The keys are TabPy's, so its config files go on working; `docs/settings.md` lists them all.
"""

import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path

from tabpy.tabpy_server import machine, package_files
from tabpy.tabpy_server import setting_values as values
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.package_files import OUR_PAGE
from tabpy.tabpy_server.rights import ALL, Rights
from tabpy.tabpy_server.setting_field import optional_path, setting, worked_out

EVERYWHERE = "::"
WEB_PROCESSES = 2


def user_folder() -> Path:
    """Return where this user's programs keep data, by the custom of the operating system."""
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
            return Path(local) / "tabpy"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / "tabpy"
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tabpy"
    except RuntimeError:  # as in a container whose user has a number and no name
        raise StartError(
            "There is no HOME, and so no place for what the server has to remember: set "
            "TABPY_STATE_PATH to a folder."
        ) from None


def own_models() -> Path | None:
    """Return the checkout's folder of functions; None for an installed package."""
    checkout = package_files.checkout()
    return checkout / "models" if checkout is not None else None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server was told. `explicit` has the keys that somebody set, not a default."""

    port: int = setting("TABPY_PORT", values.port, 9004, "where the server listens")
    address: str = setting(
        "TABPY_ADDRESS",
        values.own_address,
        EVERYWHERE,
        "on which of this machine's addresses it listens",
    )
    host_names: tuple[str, ...] = setting(
        "TABPY_HOST_NAMES",
        values.host_names,
        (),
        "more names by which a server without passwords may be called, or *",
    )
    pwd_file: Path | None = optional_path(
        "TABPY_PWD_FILE", Path(package_files.USERS), "the file of users and password hashes"
    )
    username: str = setting("TABPY_USERNAME", values.text, "", "one more user, beside the file's")
    password: str = setting("TABPY_PASSWORD", values.text, "", "that user's password", secret=True)
    rights: Rights = setting("TABPY_RIGHTS", values.rights, ALL, "what that user may do")
    state_path: Path = worked_out(
        "TABPY_STATE_PATH",
        values.path,
        user_folder,
        "where the server keeps what it has to remember",
    )
    query_object_path: Path | None = optional_path(
        "TABPY_QUERY_OBJECT_PATH", None, "TabPy's folder for model files"
    )
    static_path: Path = setting("TABPY_STATIC_PATH", values.folder, OUR_PAGE, "the page's files")
    transfer_protocol: str = setting(
        "TABPY_TRANSFER_PROTOCOL",
        values.protocol,
        "http",
        "http, or https with a certificate of its own",
    )
    certificate_file: Path | None = optional_path(
        "TABPY_CERTIFICATE_FILE", None, "for https: the certificate, and those above it, in PEM"
    )
    key_file: Path | None = optional_path(
        "TABPY_KEY_FILE", None, "for https: the certificate's private key, in PEM"
    )
    key_password: str = setting(
        "TABPY_KEY_PASSWORD", values.text, "", "the pass phrase of that key", secret=True
    )
    key_password_file: Path | None = optional_path(
        "TABPY_KEY_PASSWORD_FILE", None, "a file with the pass phrase of that key"
    )
    minimum_tls_version: str = setting(
        "TABPY_MINIMUM_TLS_VERSION",
        values.tls_version,
        "TLSv1_2",
        "for https: the oldest version of TLS that is spoken",
    )
    log_details: bool = setting(
        "TABPY_LOG_DETAILS",
        values.flag,
        False,
        "caller, URL and Tableau client in each log line",
    )
    log_printed: bool = setting(
        "TABPY_LOG_PRINTED",
        values.flag,
        False,
        "what scripts and functions print, in the log",
    )
    log_level: str = setting(
        "TABPY_LOG_LEVEL", values.level, "INFO", "DEBUG also logs what scripts print"
    )
    max_request_size_mb: float = setting(
        "TABPY_MAX_REQUEST_SIZE_MB", values.positive, 100.0, "larger requests are refused"
    )
    evaluate_enable: bool = setting(
        "TABPY_EVALUATE_ENABLE", values.flag, True, "whether dashboards may send scripts"
    )
    evaluate_timeout: float = setting(
        "TABPY_EVALUATE_TIMEOUT",
        values.positive,
        30.0,
        "seconds a script may take, waiting included",
    )
    query_timeout: float = setting(
        "TABPY_QUERY_TIMEOUT",
        values.positive,
        300.0,
        "seconds a call of a deployed function may take, and loading one",
    )
    result_cache_mb: float = setting(
        "TABPY_RESULT_CACHE_MB",
        values.positive_or_none,
        0.0,
        "results of pure functions that a web process keeps; 0: none",
    )
    result_cache_seconds: float = setting(
        "TABPY_RESULT_CACHE_SECONDS", values.positive, 300.0, "seconds that such a result is kept"
    )
    gzip_enable: bool = setting("TABPY_GZIP_ENABLE", values.flag, True, "gzip in requests")
    arrow_enable: bool = setting("TABPY_ARROW_ENABLE", values.flag, False, "Arrow Flight for Prep")
    arrowflight_port: int = setting(
        "TABPY_ARROWFLIGHT_PORT", values.port, 13622, "where Arrow Flight listens"
    )
    arrowflight_location: str = setting(
        "TABPY_ARROWFLIGHT_LOCATION",
        values.flight_location,
        "",
        "where clients find Arrow Flight, if that isn't where they are connected already",
    )
    arrow_tables: int = setting(
        "TABPY_ARROW_TABLES", values.count, 200, "Arrow tables that are kept at a time"
    )
    arrow_memory_mb: float = worked_out(
        "TABPY_ARROW_MEMORY_MB",
        values.positive,
        machine.table_memory_mb,
        "what all Arrow tables may take",
    )
    arrow_table_seconds: float = setting(
        "TABPY_ARROW_TABLE_SECONDS",
        values.positive,
        600.0,
        "seconds that an Arrow table is kept for",
    )
    oauth_enabled: bool = setting("TABPY_OAUTH_ENABLED", values.flag, False, "JWT bearer tokens")
    oauth_issuer: str = setting("TABPY_OAUTH_ISSUER", values.text, "", "who makes the tokens")
    oauth_jwks_uri: str = setting(
        "TABPY_OAUTH_JWKS_URI", values.text, "", "where the issuer's public keys are"
    )
    oauth_audience: str = setting(
        "TABPY_OAUTH_AUDIENCE", values.text, "", "whom a token has to be made for"
    )
    oauth_required_scopes: tuple[str, ...] = setting(
        "TABPY_OAUTH_REQUIRED_SCOPES", values.words, (), "scopes that each token has to have"
    )
    oauth_query_scope: str = setting(
        "TABPY_OAUTH_QUERY_SCOPE", values.text, "tabpy:query", "the scope of the right to query"
    )
    oauth_evaluate_scope: str = setting(
        "TABPY_OAUTH_EVALUATE_SCOPE",
        values.text,
        "tabpy:evaluate",
        "the scope of the right to evaluate",
    )
    oauth_deploy_scope: str = setting(
        "TABPY_OAUTH_DEPLOY_SCOPE", values.text, "tabpy:deploy", "the scope of the right to deploy"
    )
    oauth_enforce_endpoint_scopes: bool = setting(
        "TABPY_OAUTH_ENFORCE_ENDPOINT_SCOPES",
        values.flag,
        False,
        "whether tokens have only the rights of their scopes",
    )
    oauth_allow_nonpublic_jwks: bool = setting(
        "TABPY_OAUTH_ALLOW_NONPUBLIC_JWKS",
        values.flag,
        False,
        "whether the keys may be at an address of a private network",
    )
    oauth_log_user: bool = setting(
        "TABPY_OAUTH_LOG_USER", values.flag, False, "the subjects of tokens, in the log"
    )
    preload: tuple[str, ...] = setting(
        "TABPY_PRELOAD",
        values.modules,
        ("numpy", "pandas"),
        "modules that workers have already imported",
    )
    workers: int = worked_out(
        "TABPY_WORKERS",
        values.count,
        lambda: machine.script_workers(WEB_PROCESSES),
        "script workers, a web process",
    )
    executor: str = setting(
        "TABPY_EXECUTOR",
        values.one_of("local", "ray"),
        "local",
        "where scripts run: local, or ray for a Ray cluster",
    )
    ray_address: str = setting(
        "RAY_ADDRESS",
        values.ray_address,
        "",
        "with TABPY_EXECUTOR=ray: the head node of the cluster, host:port",
    )
    ray_min_workers: int = setting(
        "TABPY_RAY_MIN_WORKERS",
        values.count,
        1,
        "with TABPY_EXECUTOR=ray: workers that a web process keeps without jobs",
    )
    script_memory_mb: float = worked_out(
        "TABPY_SCRIPT_MEMORY_MB",
        values.positive,
        machine.script_memory_mb,
        "what a script may take",
    )
    script_confinement: str = setting(
        "TABPY_SCRIPT_CONFINEMENT",
        values.one_of("auto", "required", "off"),
        "auto",
        "whether the kernel keeps scripts from files and processes that aren't theirs",
    )
    script_read: tuple[str, ...] = setting(
        "TABPY_SCRIPT_READ", values.paths, (), "more folders that scripts may read"
    )
    script_write: tuple[str, ...] = setting(
        "TABPY_SCRIPT_WRITE", values.paths, (), "folders that scripts may change"
    )
    script_network: bool = setting(
        "TABPY_SCRIPT_NETWORK", values.flag, True, "whether scripts may use the network"
    )
    script_env: tuple[str, ...] = setting(
        "TABPY_SCRIPT_ENV",
        values.variables,
        (),
        "more variables of the environment that scripts may see, * for any characters",
    )
    script_isolation: Isolation = setting(
        "TABPY_SCRIPT_ISOLATION",
        values.isolation,
        Isolation.USER,
        "user, viewer, job or off: whose scripts may share a worker",
    )
    arguments: str = setting(
        "TABPY_ARGUMENTS",
        values.one_of("list", "numpy"),
        "list",
        "list or numpy: what scripts get their columns as",
    )
    long_scripts: bool = setting(
        "TABPY_LONG_SCRIPTS",
        values.flag,
        False,
        "keep the router waiting with blanks in the reply",
    )
    web_processes: int = setting("WEB_CONCURRENCY", values.count, WEB_PROCESSES, "web processes")
    trusted_proxies: str = setting(
        "FORWARDED_ALLOW_IPS",
        values.proxies,
        "127.0.0.1,::1",
        "whose X-Forwarded headers count, or *",
    )
    database_url: str = setting(
        "TABPY_DATABASE_URL",
        values.postgres,
        "",
        "the Postgres that keeps deployed functions",
        secret=True,
    )
    keep_versions: int = setting(
        "TABPY_KEEP_VERSIONS",
        values.count,
        5,
        "versions of each function that can be brought back",
    )
    max_upload_size_mb: float = setting(
        "TABPY_MAX_UPLOAD_SIZE_MB",
        values.positive,
        500.0,
        "larger archives of functions are refused",
    )
    model_memory_mb: float = worked_out(
        "TABPY_MODEL_MEMORY_MB",
        values.positive,
        lambda: machine.script_memory_mb() / 2,
        "loaded functions that a worker keeps",
    )
    models_path: Path | None = worked_out(
        "TABPY_MODELS_PATH",
        values.optional_path,
        own_models,
        "modules whose functions deploy at boot",
    )
    on_heroku: bool = False
    explicit: frozenset[str] = frozenset()

    @property
    def speaks_https(self) -> bool:
        """Say whether the server's port is an https port."""
        return self.transfer_protocol == "https"

    @property
    def uses_ray(self) -> bool:
        """Say whether scripts run on a Ray cluster."""
        return self.executor == "ray"

    @property
    def secrets(self) -> list[str]:
        """Return the values that nobody may see; "" for one that isn't set."""
        return [str(getattr(self, each.name) or "") for each in fields(self) if not each.repr]

    @property
    def tabpy_state_path(self) -> Path:
        """Return where TabPy's `state.ini` is looked for: in the state folder or, where nobody
        named one, in our package, which TabPy used, and over which this version was installed."""
        left = package_files.PACKAGE
        if "TABPY_STATE_PATH" in self.explicit or (self.state_path / "state.ini").is_file():
            return self.state_path
        return left if (left / "state.ini").is_file() else self.state_path

    @property
    def drain_timeout(self) -> float:
        """Seconds a stopping server waits for its scripts: Heroku kills it after 30, and the reply
        has to be out before."""
        return min(self.evaluate_timeout, 22.0) if self.on_heroku else self.evaluate_timeout
