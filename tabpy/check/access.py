"""The steps that find out who may in: /info, without and with credentials."""

from dataclasses import replace

from tabpy.check.client import Reply, UnansweredError
from tabpy.check.network import speaks_tls
from tabpy.check.report import Finding, fail, ok, warn
from tabpy.check.session import Session

# What Tableau sends before each calculation: the reply has to be the number 1.
PROBE = {"script": "return int(1)", "data": {"_arg1": [4]}}

_OWN_HOST_NAME = (
    "Tableau has no field for a path: give the server a host name of its own and let it answer at "
    "the root (no Subdirectory, no prefix in the proxy); or the host name or port is another "
    "program's"
)


def features(reply: Reply) -> dict[str, object] | None:
    """Return `versions.v1.features` of an /info reply, None when it has none."""
    value: object = reply.object()
    for key in ("versions", "v1", "features"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def explained(reply: Reply) -> str:
    """Return status and, where the server gives them, `message` and `info` of an error reply."""
    told = reply.object()
    words = [str(told[key]) for key in ("message", "info") if told.get(key)]
    return f"status {reply.status}" + "".join(f": {word}" for word in words)[:300]


def info(session: Session) -> Finding:
    """Send the first request of all, without credentials; keep its reply in the session."""
    try:
        reply = session.anonymous("GET", "/info")
    except UnansweredError as error:
        if error.late or not _wants_tls(session):
            raise
        return _secure_instead(session)
    session.info = reply
    if reply.status == 401:
        return _challenge(reply)
    if reply.status == 200 and features(reply) is not None:
        about = reply.object()
        return ok(f"{about.get('name') or 'no name'}, {about.get('server_version') or 'TabPy'}")
    if reply.status == 400 and _wants_tls(session):
        return _secure_instead(session)
    return _no_tabpy(session, reply)


def _wants_tls(session: Session) -> bool:
    return not session.target.ssl and speaks_tls(session)


def _secure_instead(session: Session) -> Finding:
    secure = replace(session.target, ssl=True)
    return fail(
        f"port {secure.port} speaks https, not http",
        f"switch Require SSL on: tabpy-check {secure.url}",
    )


def _no_tabpy(session: Session, reply: Reply) -> Finding:
    if reply.status == 200:
        return fail("it answers, but isn't a TabPy", "check host name and port")
    if reply.status == 404:
        return fail("there is no /info at the root of this host name (404)", _OWN_HOST_NAME)
    if 300 <= reply.status < 400:
        location = reply.headers.get("Location", "")
        to_tls = location.lower().startswith("https:") and not session.target.ssl
        return fail(
            f"the server sends its clients elsewhere: {location}",
            "switch Require SSL on, and check the https address"
            if to_tls
            else "Tableau doesn't follow: type the host name and port that answer themselves",
        )
    return fail(
        f"/info answers with {explained(reply)}",
        "the server, or the proxy before it, doesn't work: look into its log",
    )


def _challenge(reply: Reply) -> Finding:
    offered = ", ".join(reply.headers.get_all("WWW-Authenticate", []))
    if offered and "basic" not in offered.lower():
        return fail(
            f"the server asks for {offered.split()[0]} credentials",
            "Tableau speaks Basic only: offer it too",
        )
    return ok("it answers, and asks for credentials")


def without_credentials(session: Session) -> Finding:
    """Check that not everybody can run code. Tableau itself never tries this."""
    assert session.info is not None
    challenged = session.info.status == 401
    if not challenged and "authentication" not in (features(session.info) or {}):
        session.unprotected = True
        return fail(
            "authentication is off: anybody who reaches the server can run Python on it",
            "set TABPY_PWD_FILE and add a user with tabpy-user",
        )
    reply = session.anonymous("POST", "/evaluate", PROBE)
    if reply.status < 300:
        return fail(
            "/info asks for credentials, but /evaluate runs anybody's code",
            "put /evaluate behind the same credentials",
        )
    return ok(f"refused ({session.info.status} from /info, {reply.status} from /evaluate)")


def credentials(session: Session) -> Finding:
    """Sign in, and keep the /info that a person with the password sees in the session."""
    if session.unprotected:
        return warn(
            "not asked for, so there is nothing to check",
            "until authentication is on, leave user name and password empty in Tableau: the "
            "server refuses them (406)",
        )
    if session.user is None:
        return fail("the server asks for a user name and a password", "give the user with -u USER")
    reply = session.request("GET", "/info")
    if reply.status == 200:
        session.info = reply
        return ok(f"user {session.user} and the password are accepted")
    if reply.status == 401:
        return fail(
            f"user {session.user} or the password is wrong",
            "give the one that the server shows at its start, if it does; else set a new password "
            "with tabpy-user update, and restart a server that reads its password file at the "
            "start only",
        )
    return fail(
        f"with credentials, /info answers with {explained(reply)}",
        "wait a minute if these are too many attempts, else look into the server's log",
    )


def announced(session: Session) -> Finding:
    """Check that /info tells Tableau what the server does."""
    assert session.info is not None
    offered = features(session.info)
    if offered is None:
        return fail("/info doesn't say what the server can do", "check host name and port")
    authentication = offered.get("authentication")
    if not session.unprotected and authentication is None:
        return fail(
            "/info doesn't announce authentication, so Tableau won't send the password",
            "let features.authentication in /info name the method basic-auth",
        )
    methods = authentication.get("methods") if isinstance(authentication, dict) else None
    basic_too = isinstance(methods, dict) and "basic-auth" in methods
    if authentication is not None and not basic_too:
        return fail(
            "/info announces authentication without the method basic-auth",
            "Tableau speaks HTTP Basic only: offer it too",
        )
    switches = {"evaluate_enabled": "scripts", "gzip_enabled": "gzip", "arrow_enabled": "Arrow"}
    states = [f"{word} {'on' if offered.get(key) else 'off'}" for key, word in switches.items()]
    return ok(", ".join([f"password {'needed' if authentication else 'not needed'}", *states]))
