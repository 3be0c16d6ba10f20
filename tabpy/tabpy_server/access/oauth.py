"""OAuth as the settings have it: checked at the start, and made into what checks tokens.

The settings and the words of the errors are TabPy's.
"""

import logging
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from tabpy.tabpy_server.access import key_download
from tabpy.tabpy_server.access.key_set import KeySet
from tabpy.tabpy_server.access.tokens import TokenRules, Tokens
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.rights import DEPLOY, EVALUATE, QUERY
from tabpy.tabpy_server.settings import Settings

logger = logging.getLogger(__name__)

SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749, section 3.3
SCOPE_KEYS = {
    QUERY: "TABPY_OAUTH_QUERY_SCOPE",
    EVALUATE: "TABPY_OAUTH_EVALUATE_SCOPE",
    DEPLOY: "TABPY_OAUTH_DEPLOY_SCOPE",
}


def scopes(settings: Settings) -> Mapping[str, str]:
    """Return the scope that gives each right."""
    return {
        QUERY: settings.oauth_query_scope,
        EVALUATE: settings.oauth_evaluate_scope,
        DEPLOY: settings.oauth_deploy_scope,
    }


def tokens(settings: Settings, *, confined: bool) -> Tokens:
    """Return what checks tokens; nothing is fetched yet. `confined`: scripts can't reach the
    server's files and processes.

    Raises StartError, which names the setting that is wrong or missing, or the missing package.
    """
    _check_given(settings)
    _check_scopes(settings)
    _check_https(settings)
    _check_host(settings)
    try:
        import cryptography  # noqa: F401 - PyJWT has signatures of key pairs only with it
        import jwt  # noqa: F401
    except ImportError:
        raise StartError(
            "TABPY_OAUTH_ENABLED is true, but PyJWT and cryptography aren't installed: "
            "pip install '.[oauth]', or add PyJWT[crypto] to requirements.txt."
        ) from None
    if settings.oauth_enforce_endpoint_scopes and not confined:
        logger.warning(
            "The scopes of tokens only prevent accidents: scripts aren't confined here, so whoever "
            "may evaluate or deploy can do everything. See TABPY_SCRIPT_CONFINEMENT."
        )
    uri, anywhere = settings.oauth_jwks_uri, settings.oauth_allow_nonpublic_jwks
    rules = TokenRules(
        issuer=settings.oauth_issuer,
        audience=settings.oauth_audience or None,
        required=settings.oauth_required_scopes,
        scopes=scopes(settings),
        enforced=settings.oauth_enforce_endpoint_scopes,
        logged=settings.oauth_log_user,
    )
    keys = KeySet(lambda: key_download.download(uri, public_only=not anywhere))
    return Tokens(keys, rules)


def _check_given(settings: Settings) -> None:
    needed = {
        "TABPY_OAUTH_ISSUER": settings.oauth_issuer,
        "TABPY_OAUTH_JWKS_URI": settings.oauth_jwks_uri,
    }
    missing = [key for key, value in needed.items() if not value]
    if missing:
        raise StartError(
            f"TABPY_OAUTH_ENABLED is true but missing required setting(s): {', '.join(missing)}"
        )
    if not settings.oauth_audience and not settings.oauth_required_scopes:
        raise StartError(
            "OAuth requires a global resource authorization boundary: configure "
            "TABPY_OAUTH_AUDIENCE, or TABPY_OAUTH_REQUIRED_SCOPES. Without one of them, a token "
            "that the issuer made for any other server would open this one."
        )


def _check_scopes(settings: Settings) -> None:
    named = scopes(settings)
    wrong = [SCOPE_KEYS[right] for right, scope in named.items() if not SCOPE.fullmatch(scope)]
    if wrong:
        raise StartError(f"{', '.join(wrong)} must be valid, non-empty OAuth scope tokens")
    values = list(named.values())
    shared = [
        f"{SCOPE_KEYS[right]}={scope}" for right, scope in named.items() if values.count(scope) > 1
    ]
    if shared:
        logger.warning(
            "OAuth endpoint scope settings contain duplicate values (%s); a token with a shared "
            "scope can access multiple endpoint groups",
            ", ".join(shared),
        )


def _check_https(settings: Settings) -> None:
    urls = {
        "TABPY_OAUTH_ISSUER": settings.oauth_issuer,
        "TABPY_OAUTH_JWKS_URI": settings.oauth_jwks_uri,
    }
    plain = [key for key, url in urls.items() if not url.lower().startswith("https://")]
    if plain:
        raise StartError(
            f"{', '.join(plain)} must use https: JWKS/issuer are the trust anchor for JWT "
            "verification and must not be fetched over plain HTTP"
        )


def _check_host(settings: Settings) -> None:
    """Refuse a host of a private network: what serves keys inside is seldom the issuer."""
    try:
        parts = urlsplit(settings.oauth_jwks_uri)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        host, port = None, 443
    if not host:
        raise StartError(
            f"TABPY_OAUTH_JWKS_URI is '{settings.oauth_jwks_uri}': expected https://host/path."
        )
    try:
        inside = key_download.nonpublic_addresses(host, port)
    except (OSError, UnicodeError) as error:
        raise StartError(f'Unable to resolve TABPY_OAUTH_JWKS_URI host "{host}": {error}') from None
    if not inside:
        return
    found = f'TABPY_OAUTH_JWKS_URI host "{host}" resolves to a non-public address ({inside[0]})'
    if not settings.oauth_allow_nonpublic_jwks:
        raise StartError(
            f"{found}: refusing to use it as the JWKS endpoint. Set "
            "TABPY_OAUTH_ALLOW_NONPUBLIC_JWKS=true only when the issuer is on your own network."
        )
    logger.warning("%s", found)
