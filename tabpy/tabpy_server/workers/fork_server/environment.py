"""What scripts may see of the server's environment."""

import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tabpy.tabpy_server.settings import Settings

# What a script may see of the environment. Everything else may be somebody's secret, and a
# variable of the server's own can't be hidden once a process has inherited it.
VISIBLE = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP",
    "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
    "LD_LIBRARY_PATH", "DYNO", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "VIRTUAL_ENV",
    # Windows: without some of these, sockets, subprocesses and Path.home() don't work there.
    "SYSTEMROOT", "WINDIR", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "OS", "USERNAME", "USERPROFILE",
    "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
    "PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS",
}  # fmt: skip
VISIBLE_PREFIXES = ("LC_", "OPENBLAS_", "OMP_", "MKL_", "NUMEXPR_", "XDG_")
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"}  # in any case
# One thread a worker: the parallelism is in the workers, and a dyno has 256 threads in all.
# pyarrow, which pandas imports where it is installed, would start one for its memory, also in the
# process that workers are forked from.
THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
OWN = "TABPY_"  # the server's, whoever asks for them
TELLING = 8  # characters of a secret that isn't in another text by chance


class ScriptEnvironment(NamedTuple):
    """`variables`: what scripts find in `os.environ`. `withheld`: what TABPY_SCRIPT_ENV names and
    scripts don't get all the same, since a secret of the server's own is in it."""

    variables: dict[str, str]
    withheld: list[str]


def script_environment(environment: Mapping[str, str], settings: Settings) -> ScriptEnvironment:
    """Return what scripts may see."""
    named, withheld = named_variables(environment, settings)
    return ScriptEnvironment({**visible(environment), **named}, withheld)


def visible(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what scripts may see of the environment that their processes are started in."""
    found = dict(THREADS)
    for name, value in environment.items():
        if _is_visible(name):
            found[name] = value
    return found


def named_variables(environment: Mapping[str, str], settings: Settings) -> ScriptEnvironment:
    """Return what else TABPY_SCRIPT_ENV names."""
    secrets = [*_secrets(environment, settings)]
    named, withheld = {}, []
    for name, value in environment.items():
        if not _is_visible(name) and _is_named(name, settings.script_env):
            if _tells(value, secrets):
                withheld.append(name)
            else:
                named[name] = value
    return ScriptEnvironment(named, sorted(withheld))


def _is_visible(name: str) -> bool:
    return name in VISIBLE or name.startswith(VISIBLE_PREFIXES) or name.upper() in PROXIES


def _is_named(name: str, patterns: tuple[str, ...]) -> bool:
    own = name.upper().startswith(OWN)
    if sys.platform == "win32":  # where `os.environ` has all names in upper case
        patterns = tuple(each.upper() for each in patterns)
    return not own and any(fnmatchcase(name, each) for each in patterns)


def _secrets(environment: Mapping[str, str], settings: Settings) -> Iterator[str]:
    """Yield the server's own, whose copies may go by other names: Heroku has one for each
    database."""
    yield from filter(None, settings.secrets)
    if settings.on_heroku:
        yield from filter(None, [environment.get("PASSWORD")])  # TabPy's name for it there
    for each in settings.secrets:
        try:
            in_url = urlsplit(each).password
        except ValueError:  # no URL at all
            continue
        if in_url:
            yield from {in_url, unquote(in_url)}


def _tells(value: str, secrets: list[str]) -> bool:
    return any(value == each or (len(each) >= TELLING and each in value) for each in secrets)
