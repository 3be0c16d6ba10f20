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
from tabpy.tabpy_server.package_files import checkout
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
    Raises StartError when nobody could enter, for an unusable password file, and for OAuth that is
    set wrongly.
    """
    file = find_password_file(settings)
    try:
        users = Users(file, _from_environment(settings, environment))
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
        return SignIn(TokenGate(tokens, Gate(users, Throttle())), (*names, by_token))
    if names:
        return SignIn(Gate(users, Throttle()), tuple(names))
    if may_open and not settings.on_heroku and "TABPY_PWD_FILE" not in settings.explicit:
        logger.warning(
            "No password: whoever reaches port %d can run Python here. Without "
            "--disable-auth-warning the server would ask for one.",
            settings.port,
        )
        return SignIn(OpenGate())
    if may_generate and not settings.on_heroku:
        password = secrets.token_urlsafe(12)
        generated = {GENERATED_USER: User(password_hashes.hash_password(GENERATED_USER, password))}
        return SignIn(Gate(Users(file, generated), Throttle()), (GENERATED_USER,), password)
    where = f"`tabpy-user add -u NAME -f {settings.pwd_file or 'tabpypwd.txt'}`"
    raise StartError(
        f"There is no user, so nobody could sign in: add one with {where}, or set TABPY_USERNAME "
        "and TABPY_PASSWORD in the environment."
    )


def find_password_file(settings: Settings) -> Path | None:
    """Look the file up from the working folder, then from the root of the checkout.

    Raises StartError if somebody named a file that isn't there.
    """
    if settings.pwd_file is None:
        return None
    roots = [Path(), *filter(None, [checkout()])]
    candidates = [root / settings.pwd_file for root in roots]
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


def _from_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, User]:
    """Return the user whom the settings name, hashed like those of the file."""
    pairs = [("TABPY_USERNAME", settings.username, "TABPY_PASSWORD", settings.password)]
    if settings.on_heroku and not settings.username and not settings.password:
        # TabPy's own app.json asked for these two.
        name, password = environment.get("USERNAME", ""), environment.get("PASSWORD", "")
        if name and password:
            logger.warning(
                "USERNAME and PASSWORD are old names: set TABPY_USERNAME and "
                "TABPY_PASSWORD instead."
            )
            pairs = [("USERNAME", name, "PASSWORD", password)]
    users = {}
    for name_key, name, password_key, password in pairs:
        if bool(name) != bool(password):
            missing = password_key if name else name_key
            raise StartError(f"{missing} is not set: {name_key} and {password_key} go together.")
        if name:
            try:
                encoded = password_hashes.hash_password(name, password)
            except ValueError as error:
                raise StartError(f"{name_key}, {password_key}: {error}") from None
            users[name.lower()] = User(encoded, settings.rights)
    if settings.rights != ALL and not users:
        raise StartError(
            f"TABPY_RIGHTS is '{written(settings.rights)}', but there is no user to have them: set "
            "TABPY_USERNAME and TABPY_PASSWORD too, or give a user of the password file rights "
            "with `tabpy-user update -u NAME --may RIGHTS`."
        )
    return users


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
