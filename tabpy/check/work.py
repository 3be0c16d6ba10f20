"""The steps that let the server work: a script, many rows, functions, time."""

import statistics
from email.utils import parsedate_to_datetime

from tabpy.check.access import PROBE, explained, features
from tabpy.check.client import Reply, UnansweredError
from tabpy.check.report import Finding, fail, ok, warn
from tabpy.check.session import Session

_ROWS = 10_000
_ROUND_TRIPS = 5
_CLOCK_SECONDS = 60

SLOW_TODO = (
    "Heroku's router gives up after 30 s, and so does a server with TabPy's default "
    "TABPY_EVALUATE_TIMEOUT: give it more memory or workers, and wake a sleeping one first"
)


def late(error: UnansweredError) -> Finding:
    """Report no answer in time, or none at all."""
    port = "check that this is the server's port; else its log, or its proxy's, tells the reason"
    return fail(str(error), SLOW_TODO if error.late else port)


def probe(session: Session) -> Finding:
    assert session.info is not None
    reply = session.request("POST", "/evaluate", PROBE)
    off = (features(session.info) or {}).get("evaluate_enabled") is False
    if reply.status == 404 or (off and reply.status != 200):
        return fail(
            "scripts are switched off on this server (evaluate)",
            "SCRIPT_ calculations, table extensions and Prep scripts fail, only MODEL_EXTENSION_ "
            "with deployed functions works; set TABPY_EVALUATE_ENABLE = true to allow them",
        )
    if reply.status != 200:
        return _refused("return int(1)", reply)
    value = reply.json()
    if type(value) is not int or value != 1:
        return fail(
            f"return int(1) gave {_short(reply)} instead of 1",
            "Tableau takes it for a wrong password or server: check what answers /evaluate",
        )
    return ok(f"return int(1) gives 1, in {_milliseconds(reply.seconds)}")


def rows(session: Session) -> Finding:
    numbers = [row / 4 for row in range(_ROWS)]
    job = {"script": "return [2 * x for x in _arg1]", "data": {"_arg1": numbers}}
    reply = session.request("POST", "/evaluate", job)
    if reply.status != 200:
        return _refused(f"a script over {_ROWS:,} rows", reply)
    if reply.json() != [2 * number for number in numbers]:
        return fail(
            f"a script over {_ROWS:,} rows gave something else than it computes: {_short(reply)}",
            "check that nothing between here and the server alters replies",
        )
    return pace(f"SCRIPT_REAL over {_ROWS:,} rows takes", reply.seconds, session.limit, share=6)


def pace(what: str, seconds: float, limit: float, *, share: int) -> Finding:
    """Judge a time against `limit`: slow from one `share`th of it on."""
    said = f"{what} {_milliseconds(seconds)} of the {limit:g} s there are"
    return warn(f"{said}: slow", SLOW_TODO) if seconds > limit / share else ok(said)


def _refused(what: str, reply: Reply) -> Finding:
    todo = {
        401: "put /evaluate behind the same user names as /info",
        403: "let this user run scripts",
        408: SLOW_TODO,
        413: "raise TABPY_MAX_REQUEST_SIZE_MB, or the proxy's limit",
        503: SLOW_TODO,
    }
    return fail(
        f"{what} gave {explained(reply)}", todo.get(reply.status, "look into the server's log")
    )


def functions(session: Session) -> Finding:
    """Ask the server for its functions: a call would need arguments that only the author knows."""
    status = session.request("GET", "/status")
    endpoints = session.request("GET", "/endpoints")
    for path, reply in (("/status", status), ("/endpoints", endpoints)):
        if reply.status != 200 or not isinstance(reply.json(), dict):
            return fail(f"{path} gave {explained(reply)}", "look into the server's log")
    known = {name for name, about in endpoints.object().items() if _field(about, "type") == "model"}
    if not known:
        return ok("none deployed", "MODEL_EXTENSION_ calculations need one")
    states = {name: about for name, about in status.object().items() if name in known}
    broken = [name for name in sorted(known) if _field(states.get(name), "status") == "LoadFailed"]
    if broken:
        reasons = (f"{name} ({_field(states[name], 'last_error')[:200]})" for name in broken[:10])
        more = f", and {len(broken) - 10} more" if len(broken) > 10 else ""
        return fail(
            f"{len(broken)} of {len(known)} can't be loaded: {', '.join(reasons)}{more}",
            "deploy them again, with the Python and the packages of the server (GET /packages)",
        )
    waiting = [n for n in sorted(known) if _field(states.get(n), "status") != "LoadSuccessful"]
    if waiting:
        return warn(f"not loaded yet: {', '.join(waiting)[:200]}", "check again in a minute")
    return ok(f"{len(known)} deployed, {'it is' if len(known) == 1 else 'all'} loaded")


def clock(session: Session) -> Finding:
    assert session.info is not None
    try:
        there = parsedate_to_datetime(session.info.headers.get("Date", "")).timestamp()
    except ValueError:
        return ok("the server doesn't tell its time")
    off = there - session.info.at
    if abs(off) > _CLOCK_SECONDS:
        return warn(
            f"server and this computer are {abs(off):.0f} s apart "
            f"(the server's clock is {'ahead' if off > 0 else 'behind'})",
            "set the wrong one: certificates and tokens fail by the clock",
        )
    return ok("server and this computer agree")


def round_trip(session: Session) -> Finding:
    """Return the middle one of a few, each over a new connection."""
    seconds = [session.request("GET", "/info").seconds for _ in range(_ROUND_TRIPS)]
    return pace(
        "a request, one for each partition or mark, takes",
        statistics.median(seconds),
        session.limit,
        share=30,
    )


def _field(about: object, key: str) -> str:
    return str(about.get(key) or "") if isinstance(about, dict) else ""


def _short(reply: Reply) -> str:
    return repr(reply.body[:60].decode(errors="replace"))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
