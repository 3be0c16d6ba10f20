"""The steps of a check in their order, and what each needs of those before it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tabpy.check import access, certificates, network, packages, work
from tabpy.check.client import UnansweredError
from tabpy.check.report import Finding, Result, Status, fail, skip
from tabpy.check.session import Session, TimeIsUpError
from tabpy.check.tls import Certificates


@dataclass(frozen=True)
class Step:
    """`needs` names the steps that have to pass first: a failed one makes this one a skip."""

    name: str
    run: Callable[[Session], Finding]
    needs: tuple[str, ...] = ()


def check(session: Session, wanted: packages.Wanted | None = None) -> Iterator[Result]:
    """Run the steps, giving each one's result as soon as it is there."""
    blocked: set[str] = set()
    for step in _steps(session, wanted):
        start = time.monotonic()
        missing = [need for need in step.needs if need in blocked]
        finding = skip(f"needs {missing[0]}") if missing else _run(step, session)
        if finding.status in (Status.FAIL, Status.SKIP) and step.name not in _INDEPENDENT:
            blocked.add(step.name)
        yield Result(step.name, finding, time.monotonic() - start)


# These may fail and leave the rest worth trying.
_INDEPENDENT = {"no credentials", "features"}


def _run(step: Step, session: Session) -> Finding:
    try:
        return step.run(session)
    except TimeIsUpError:
        return fail("no time is left: the server is too slow for a check", work.SLOW_TODO)
    except UnansweredError as error:
        return work.late(error)


def _steps(session: Session, wanted: packages.Wanted | None) -> Iterator[Step]:
    yield Step("name resolution", network.resolve)
    yield Step("TCP", network.connect, ("name resolution",))
    secure: tuple[str, ...] = ()
    if session.target.ssl:
        yield Step("TLS", network.handshake, ("TCP",))
        yield from _certificate_steps()
        secure = ("TLS", "certificate chain", "public authority", "host name", "dates")
    yield Step("http to https", network.unencrypted, ("name resolution",))
    # The password goes only to a server whose certificate holds.
    yield Step("/info", access.info, ("TCP", *secure))
    yield Step("no credentials", access.without_credentials, ("/info",))
    yield Step("credentials", access.credentials, ("/info",))
    signed_in = ("credentials",)
    yield Step("features", access.announced, ("/info", *signed_in))
    yield Step("probe", work.probe, ("/info", *signed_in))
    yield Step("10,000 rows", work.rows, ("probe",))
    yield Step("deployed functions", work.functions, ("/info", *signed_in))
    yield Step("clock", work.clock, ("/info",))
    yield Step("round trip", work.round_trip, ("/info", *signed_in))
    if wanted is not None:
        compare = partial(packages.compare, wanted=wanted)
        yield Step("packages", compare, ("/info", *signed_in))


def _certificate_steps() -> Iterator[Step]:
    def step(name: str, judge: Callable[[Session, Certificates], Finding]) -> Step:
        def run(session: Session) -> Finding:
            assert session.certificates is not None
            return judge(session, session.certificates)

        return Step(name, run, ("TLS",))

    yield step("certificate chain", lambda _, shown: certificates.chain(shown))
    yield step("public authority", lambda _, shown: certificates.authority(shown))
    yield step(
        "host name", lambda session, shown: certificates.host_name(shown, session.target.host)
    )
    yield step("dates", lambda _, shown: certificates.dates(shown, time.time()))
