"""Why the store can't be used, in words for whoever can mend it: the one place of these texts.

They go to the log and to clients, so they have nothing of the database's URL but host and port, and
no path of this server. Connecting fails without a code, so its texts are looked for those of
psycopg and of libpq, the latter as they are in an English locale.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tabpy.tabpy_server.errors import DiskFullError

URL = "TABPY_DATABASE_URL"
HOST = re.compile(r"[A-Za-z0-9_.:-]+")  # whatever else stands there may be a part of a password
UNRESOLVED = re.compile("failed to resolve host '([^']*)'")
TRIED = re.compile(r'connection to server at "([^"]*)"(?: \([^)]*\))?, port (\d+) failed')

FULL_STATE = "The disk of the state folder (TABPY_STATE_PATH) is full: free some of it."
FULL_DATABASE = "Postgres's disk is full, or the plan's limit is reached: free some, or enlarge it."
READ_ONLY = (
    f"The database of {URL} takes no changes: it is a copy, or was set to read-only, as some "
    "platforms do when it is too large."
)
LOCKED = "Another program has locked the database: end what works on it, or wait."
CROWDED = "Postgres has no free connection: end other programs', or allow more."
SLOW = "Postgres took too long: look at its load, and at what else works on it."
CUT = "Postgres has closed the connection: it was restarted, or its log says why."
PASSWORD = f"Postgres refuses the user or the password of {URL}: correct them there."
NO_DATABASE = f"The database that {URL} names isn't there: create it, or correct the name."
NO_PLACE = (
    "The database in the state folder (TABPY_STATE_PATH) can't be opened or written to: it has to "
    "be a folder of the server's user, on a disk that isn't read-only."
)
DAMAGED = (
    "tabpy.db in the state folder (TABPY_STATE_PATH) is damaged, or no database: restore it, or "
    "move it away to begin without functions."
)

# Postgres's SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html), and
# SQLite's primary result codes (https://www.sqlite.org/rescode.html).
BY_STATE = {
    "25006": READ_ONLY,
    "25P03": SLOW,
    "28000": PASSWORD,
    "28P01": PASSWORD,
    "3D000": NO_DATABASE,
    "40P01": LOCKED,
    "53100": FULL_DATABASE,
    "53300": CROWDED,
    "55P03": LOCKED,
    "57014": SLOW,
    "57P01": CUT,
    "42501": f"The user of {URL} may not do that: let it own its tables.",
}
BY_CODE = {
    3: NO_PLACE,
    5: LOCKED,
    6: LOCKED,
    8: NO_PLACE,
    10: "The disk of the state folder (TABPY_STATE_PATH) doesn't work: look at it.",
    11: DAMAGED,
    13: FULL_STATE,
    14: NO_PLACE,
    26: DAMAGED,
}
NO_ROOM_FOR_MEMORY = 4874  # SQLITE_IOERR_SHMSIZE: its shared file didn't find room

# What libpq says of a connection, and what that means; `{place}` is host and port.
CONNECTING = {
    "password authentication failed": PASSWORD,
    "no password supplied": PASSWORD,
    "role .* does not exist": PASSWORD,
    "database .* does not exist": NO_DATABASE,
    "no pg_hba.conf entry": (
        "Postgres at {place} lets nobody in from this machine: add a line to its pg_hba.conf."
    ),
    "too many connections|too many clients|connection slots": CROWDED,
    "starting up|shutting down|recovery|not (yet )?accepting": (
        "Postgres at {place} is starting or stopping: wait a moment."
    ),
    "closed the connection|connection is lost": CUT,
    "invalid response to SSL": (
        f"What listens at {{place}} is no Postgres: check host and port in {URL}."
    ),
    "does not support SSL": (
        "Postgres at {place} speaks no TLS: switch it on there; where the network is safe, add "
        f"?sslmode=disable to {URL}."
    ),
    "certificate": f"Postgres's certificate isn't the one that {URL} asks for (sslrootcert).",
    "refused|No such file": (
        f"Nothing listens at {{place}}: check that Postgres runs, and host and port in {URL}."
    ),
    "time.*out|timeout|unreachable": (
        f"{{place}} doesn't answer: look for a firewall, and check host and port in {URL}."
    ),
}
FULL = (FULL_STATE, FULL_DATABASE)
NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def reason(error: Exception) -> str:
    """Return why an operation on the store failed, a sentence, and what to do. `error` is the
    driver's, one of SQLAlchemy's around it, or the system's."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    driver = getattr(error, "orig", None) or error
    code = getattr(driver, "sqlite_errorcode", None)
    if code == NO_ROOM_FOR_MEMORY:
        return FULL_STATE
    state = getattr(driver, "sqlstate", None)
    known = BY_STATE.get(state or "") or BY_CODE.get((code or 0) & 0xFF)
    if state is None:  # what has a state may quote data in its text
        known = known or _of_a_connection(str(driver))
    return known or f"The database failed ({type(driver).__name__}): look into its log."


def _of_the_system(error: OSError) -> str:
    if error.errno in NO_SPACE:
        return FULL_STATE
    return f"The state folder (TABPY_STATE_PATH) can't be used: {error.strerror or 'no reason'}."


def _of_a_connection(text: str) -> str:
    if unresolved := UNRESOLVED.search(text):
        host = _shown(unresolved[1])
        return f"The host name in {URL}, {host}, has no address: check it, and the network."
    place = "its host and port"
    if tried := TRIED.search(text):
        place = f"{_shown(tried[1])}, port {tried[2]}"
    for pattern, meaning in CONNECTING.items():
        if re.search(pattern, text):
            return meaning.format(place=place)
    return ""


def _shown(host: str) -> str:
    return host if HOST.fullmatch(host) else "which isn't one"


def trouble(error: Exception) -> tuple[str, bool]:
    """Return the `reason`, and whether it is that a disk is full."""
    why = reason(error)
    return why, why in FULL


@contextmanager
def telling_full_disk() -> Iterator[None]:
    """Raise DiskFullError in the place of the system's own error."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise DiskFullError(FULL_STATE) from None
