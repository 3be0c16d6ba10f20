"""Who may enter this run: users of the file and the environment, a generated one, or everybody."""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tabpy.tabpy_server.access import oauth, password_file, password_hashes
from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.password_file import User
from tabpy.tabpy_server.access.throttle import Throttle
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.access.users import Users
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.package_files import LOCAL_USERS, checkout
from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, written
from tabpy.tabpy_server.settings import Settings

logger = logging.getLogger(__name__)

GENERATED_USER = "tabpy"


@dataclass(frozen=True)
class SignIn:
    """How to enter this run: `gate` lets in `users`, as a person reads it, or everybody if there
    are none. `password` is the one generated for this run, if it was: it has to be shown once."""

    gate: Gate | OpenGate | TokenGate
    users: tuple[str, ...] = ()
    password: str | None = None


def resolve(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    may_generate: bool,
    may_open: bool,
    confined: bool,
) -> SignIn:
    """Decide who may enter, never more people than somebody asked for.

    `may_generate`: somebody is there to see a generated password. `may_open`: the server may run
    without one, --disable-auth-warning. `confined`: scripts can't reach the server's files and
    processes.
    Raises StartError when nobody could enter, for a password file that can't be read, and for
    OAuth that is set wrongly.
    """
    file = find_password_file(settings)
    try:
        passwords = _from_environment(settings, environment)
        users = Users(file, _hashed(passwords, settings))
    except (password_file.PasswordFileError, OSError) as error:
        raise StartError(f"TABPY_PWD_FILE: {error}") from None
    names = users.current()
    if names:
        _warn_of_old_hashes(names)
        if not confined:
            _warn_of_weak_rights(names)
    if settings.oauth_enabled:
        tokens = oauth.tokens(settings, confined=confined)
        by_token = f"whoever has a token of {settings.oauth_issuer}"
        return SignIn(TokenGate(tokens, Gate(users, Throttle(), passwords)), (*names, by_token))
    if names:
        return SignIn(Gate(users, Throttle(), passwords), tuple(names))
    if users.problems:
        raise StartError(f"TABPY_PWD_FILE: {users.problems[0]}")
    can_be_open = not settings.on_heroku and "TABPY_PWD_FILE" not in settings.explicit
    if may_open and can_be_open:
        logger.warning(
            "No password: whoever reaches port %d can run Python here. Without "
            "--disable-auth-warning the server would ask for one.",
            settings.port,
        )
        return SignIn(OpenGate())
    if may_generate and not settings.on_heroku:
        password = secrets.token_urlsafe(12)
        generated = {GENERATED_USER: User(password_hashes.hash_password(GENERATED_USER, password))}
        gate = Gate(Users(file, generated), Throttle(), {GENERATED_USER: password})
        return SignIn(gate, (GENERATED_USER,), password)
    where = f"`tabpy-user add -u NAME -f {settings.pwd_file or 'tabpypwd.txt'}`"
    raise StartError(
        f"There is no user, so nobody could sign in: add one with {where}, or set TABPY_USERNAME "
        "and TABPY_PASSWORD in the environment."
        + (" To let everybody in: `tabpy --disable-auth-warning`." if can_be_open else "")
    )


def find_password_file(settings: Settings) -> Path | None:
    """Look the file up from the working folder, then from the root of the checkout; where nobody
    named one, this machine's own goes before the fork's.

    Raises StartError if somebody named a file that isn't there.
    """
    if settings.pwd_file is None:
        return None
    roots = [Path(), *filter(None, [checkout()])]
    names: list[Path | str] = [settings.pwd_file]
    if "TABPY_PWD_FILE" not in settings.explicit:
        names.insert(0, LOCAL_USERS)
    candidates = [root / name for root in roots for name in names]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.absolute()
    if any(candidate.is_dir() for candidate in candidates):
        raise StartError(f"TABPY_PWD_FILE is '{settings.pwd_file}', which is a folder.")
    if "TABPY_PWD_FILE" in settings.explicit:
        raise StartError(
            f"TABPY_PWD_FILE is '{settings.pwd_file}', but there is no such file: make it with "
            f"`tabpy-user add -u NAME -f {settings.pwd_file}`."
        )
    return None


def _from_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the password of the user whom the settings name, by the name; empty for none."""
    name_key, password_key = "TABPY_USERNAME", "TABPY_PASSWORD"
    name, password = settings.username, settings.password
    if settings.on_heroku and not name and not password:
        # TabPy's own app.json asked for these two.
        name, password = environment.get("USERNAME", ""), environment.get("PASSWORD", "")
        if not name or not password:
            return {}
        name_key, password_key = "USERNAME", "PASSWORD"
        logger.warning(
            "USERNAME and PASSWORD are old names: set TABPY_USERNAME and TABPY_PASSWORD instead."
        )
    if bool(name) != bool(password):
        missing = password_key if name else name_key
        half = f"{missing} is not set: {name_key} and {password_key} go together."
        if settings.pwd_file is None or "TABPY_PWD_FILE" not in settings.explicit:
            raise StartError(half)
        # In scripts from before these settings, they are variables of somebody's own, from which
        # tabpy-user makes the file.
        logger.warning("%s There is no such user, then; those of TABPY_PWD_FILE may enter.", half)
        return {}
    return {name: password} if name else {}


def _hashed(passwords: Mapping[str, str], settings: Settings) -> dict[str, User]:
    """Return the user of the environment, with a hash like those of the file."""
    if settings.rights != ALL and not passwords:
        raise StartError(
            f"TABPY_RIGHTS is '{written(settings.rights)}', but there is no user to have them: set "
            "TABPY_USERNAME and TABPY_PASSWORD too, or give a user of the password file rights "
            "with `tabpy-user update -u NAME --may RIGHTS`."
        )
    try:
        return {
            name.lower(): User(password_hashes.hash_password(name, password), settings.rights)
            for name, password in passwords.items()
        }
    except ValueError as error:
        raise StartError(f"TABPY_USERNAME, TABPY_PASSWORD: {error}") from None


def _warn_of_weak_rights(users: Mapping[str, User]) -> None:
    """Name those whose missing rights are worth nothing: who runs code here has all."""
    weak = sorted(
        name
        for name, user in users.items()
        if user.rights != ALL and {EVALUATE, DEPLOY} & {*user.rights}
    )
    if weak:
        logger.warning(
            "The rights of %s only prevent accidents: scripts aren't confined here, so whoever may "
            "evaluate or deploy can do everything. See TABPY_SCRIPT_CONFINEMENT.",
            ", ".join(weak),
        )


def _warn_of_old_hashes(users: Mapping[str, User]) -> None:
    old = sorted(name for name, user in users.items() if password_hashes.is_outdated(user.encoded))
    if old:
        logger.warning(
            "The password hashes of %s are TabPy's old kind, quick to guess from: "
            "`tabpy-user update` makes new ones.",
            ", ".join(old),
        )
