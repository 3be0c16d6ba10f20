"""What scripts may touch: worked out once from the settings, kept by the kernel in each worker.

Landlock can only allow, and allows folders with all that is in them. So a folder that holds
something closed is replaced by what else is in it, as it is when somebody looks.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tabpy.tabpy_server import own_python, package_files
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings

SIGNALS_SINCE = 6  # Landlock's version that also sees to signals: Linux 6.12
REQUIRED, OFF = "required", "off"
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/etc", "/proc", "/sys")
RESOLVER = Path("/etc/resolv.conf")  # often a link to a folder in /run
OF_THE_STATE = ("archives", "incoming", "uploads")  # what workers load functions from
OF_BUILDPACKS = (".heroku", ".apt")  # on Heroku, below the app's folder


@dataclass(frozen=True)
class ScriptRules:
    """What scripts may touch, as absolute paths.

    `read`: folders and files that they may read, less what is in `closed`. `tidy`: those of them
    in which names that begin with a dot are closed, too: `.git`, `.env`, `.ssh` and the like.
    `models`: folders that deployed functions are loaded from, though they lie in a closed one.
    `write`: what they may change. `network`: whether they may use any but Unix sockets.
    """

    confine: bool
    read: tuple[str, ...] = ()
    tidy: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: bool = True

    def readable(self) -> list[str]:
        """Return what may be read now, beside what scripts may write: each path with everything
        in it."""
        closed = {os.path.realpath(each) for each in self.closed}
        tidy = {os.path.realpath(each) for each in self.tidy}
        write = set(self.write)  # no link there may be followed: a script can have made it
        found: list[str] = []
        for root in self.read:
            if not _is_in_any(os.path.normpath(root), write):
                path = os.path.realpath(root)
                if not _is_in_any(path, found):
                    found += _less(path, tidy, split=closed | tidy, left_out=closed | write)
        return [*found, *self.models]


def _less(path: str, tidy: set[str], split: set[str], left_out: set[str]) -> Iterator[str]:
    """Yield `path`, or, if something of `split` is in it, what else is, less what is `left_out`."""
    if _is_in_any(path, left_out):
        return
    if not any(_is_within(each, path) for each in split):
        yield path
        return
    try:
        entries = list(os.scandir(path))
    except OSError:  # not there, or a file
        return
    for entry in entries:
        if path in tidy and entry.name.startswith("."):
            continue
        if not entry.is_symlink():
            yield from _less(entry.path, tidy, split, left_out)
            continue
        target = os.path.realpath(entry.path)
        # Not into what is tidy: a link could name what is hidden there.
        if not _is_in_any(target, tidy) and not any(_is_within(each, target) for each in split):
            yield from _less(target, tidy, split, left_out)


def _is_in_any(path: str, folders: Iterable[str]) -> bool:
    return any(_is_within(path, each) for each in folders)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def rules_of(settings: Settings, config_file: Path) -> ScriptRules:
    """Return what the settings say of scripts.

    Raises StartError for a folder of TABPY_SCRIPT_WRITE that holds what scripts must not change.
    """
    if settings.script_confinement == OFF:
        return ScriptRules(confine=False)
    here, checkout = Path.cwd(), package_files.checkout()
    tidy = [each for each in (here, checkout) if each is not None and each != Path("/")]
    closed = list(_closed(settings, config_file, tidy))
    models = [str(settings.state_path.absolute() / name) for name in OF_THE_STATE]
    read = [*SYSTEM, *_python(), *_programs(tidy), *map(str, tidy), *settings.script_read]
    if settings.models_path is not None:
        read.append(str(settings.models_path.absolute()))
    if RESOLVER.is_symlink():
        read.append(str(RESOLVER.resolve().parent))
    write = tuple(_outermost({os.path.realpath(each) for each in settings.script_write}))
    _check_writable(write, closed)
    return ScriptRules(
        confine=True,
        read=tuple(read),
        tidy=tuple(map(str, tidy)),
        closed=tuple(closed),
        models=tuple(models),
        write=write,
        network=settings.script_network,
    )


def rules_of_node(
    read: tuple[str, ...],
    write: tuple[str, ...],
    *,
    closed: Iterable[str],
    models: str,
    network: bool,
) -> ScriptRules:
    """Return the rules for scripts on a node of a cluster, where no server of ours lies.

    `closed`: what is the cluster's own. `models`: the folder of the archives. Raises StartError
    like `rules_of`.
    """
    found = [*SYSTEM, *_python(), *_programs(()), str(own_python.PACKAGE), *read]
    if RESOLVER.is_symlink():
        found.append(str(RESOLVER.resolve().parent))
    outermost = tuple(_outermost({os.path.realpath(each) for each in write}))
    _check_writable(outermost, closed := tuple(closed))
    return ScriptRules(
        confine=True,
        read=tuple(found),
        closed=closed,
        models=(models,),
        write=outermost,
        network=network,
    )


def _python() -> Iterator[str]:
    """Yield where this interpreter and what it imports lie."""
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix)
    for entry in sys.path:
        path = Path(entry or ".").absolute()
        if path != Path.cwd() and path != Path("/"):
            yield str(path)


def _programs(folders: Iterable[Path]) -> Iterator[str]:
    """Yield where programs and their libraries lie; a platform may put them in hidden folders."""
    for variable in ("PATH", "LD_LIBRARY_PATH"):
        for entry in os.environ.get(variable, "").split(os.pathsep):
            if entry.startswith("/") and entry != "/":
                yield entry
    for folder in folders:
        yield from (str(folder / name) for name in OF_BUILDPACKS)


def _closed(settings: Settings, config_file: Path, folders: Iterable[Path]) -> Iterator[str]:
    """Yield what no script reads: passwords, what is remembered, what is configured."""
    yield str(settings.state_path.absolute())
    if config_file != package_files.DEFAULT_CONFIG:
        yield str(config_file.absolute())
    yield from _of_the_certificate(settings, folders)
    named = settings.pwd_file
    if named is not None:
        yield str(named.absolute())
        for folder in folders:  # where a relative name is looked for, and the default one may lie
            yield str(folder / named.name)
            yield str(folder / package_files.USERS)
            yield str(folder / package_files.LOCAL_USERS)


def _of_the_certificate(settings: Settings, folders: Iterable[Path]) -> Iterator[str]:
    """Yield the key and its pass phrase. Where a link leads to the key, what it leads to is changed
    at each renewal, and older and newer keys lie beside it: then the whole folder is closed."""
    kept: list[str] = [*map(str, folders), *SYSTEM, *_python()]
    for file in filter(None, (settings.key_file, settings.key_password_file)):
        named, real = str(file.absolute()), os.path.realpath(str(file))
        yield named
        beside = os.path.dirname(real)  # noqa: PTH120
        if real != _name(named) and not any(
            _is_within(os.path.realpath(each), beside) for each in kept
        ):
            yield beside


def _outermost(folders: Iterable[str]) -> list[str]:
    """Leave out those in others: a script could put a link in their place."""
    return [
        each
        for each in sorted(folders)
        if not any(_is_within(each, other) for other in folders if other != each)
    ]


def _check_writable(write: Iterable[str], closed: Iterable[str]) -> None:
    ours = [*closed, str(package_files.PACKAGE), sys.prefix, sys.base_prefix]
    for folder in write:
        for each in ours:
            if _is_within(os.path.realpath(each), folder) or _is_within(_name(each), folder):
                raise StartError(
                    f"TABPY_SCRIPT_WRITE names '{folder}', which holds '{each}': scripts could "
                    "change who may sign in, or the server itself. Name a folder of its own."
                )
            if _is_within(folder, os.path.realpath(each)):
                raise StartError(
                    f"TABPY_SCRIPT_WRITE names '{folder}', which is in '{each}': scripts could "
                    "change the server itself. Name a folder of its own."
                )


def _name(path: str) -> str:
    """Return where a path's last part lies, be it a link or not."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118


@dataclass(frozen=True)
class InForce:
    """Which parts of the confinement this machine has, and each worker gets.

    `landlock`: the kernel's version of it, 0 for none. `seccomp`: whether system calls are
    filtered. `processes`: how many processes and threads this user may have before a script can
    start no more; 0: no limit. `missing`: why a part isn't there, or doesn't hold, in words.
    """

    landlock: int = 0
    seccomp: bool = False
    processes: int = 0
    missing: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return what is confined, for people."""
        parts = {
            "files": self.landlock,
            "signals": self.landlock >= SIGNALS_SINCE,
            "system calls": self.seccomp,
        }
        return ", ".join(name for name, there in parts.items() if there) or "nothing"

    @property
    def complete(self) -> bool:
        """Say whether a script is kept from everything that SECURITY.md names."""
        return self.landlock >= SIGNALS_SINCE and self.seccomp and not self.missing
