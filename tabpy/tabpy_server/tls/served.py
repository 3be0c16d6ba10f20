"""The certificate that is served now: a renewed one takes its place, a broken one never does."""

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls import chain, pair
from tabpy.tabpy_server.tls.pair import DAY
from tabpy.tabpy_server.tls.session import Session

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds

# When a file was changed, and which one it is: links count as what they lead to.
Stamp = tuple[tuple[int, int, int, int] | None, ...]


class ServedCertificate:
    """Read before the web processes are forked, and kept up to date in each process by itself.

    Only the process that made it writes to the log, since all of them see the same files.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells seconds since 1970. Raises StartError for files that can't be used."""
        self._settings = settings
        self._clock = clock
        self._maker = os.getpid()
        self._stamp = self._stamp_now()
        self._pair = pair.load(settings, clock())
        self._doubt = ""  # why the last look didn't find another pair
        self._told = ""  # what of that is in the log
        self._reminded = float("-inf")
        self._log_warnings()

    @property
    def expires(self) -> float:
        """Return when the first of its certificates expires, in seconds since 1970."""
        return self._pair.dates.ends

    @property
    def warnings(self) -> list[str]:
        """Return what somebody should see to, without what is the operator's business alone."""
        found = (self._pair.expiring(self._clock()), self._pair.gap)
        return [each for each in found if each]

    @property
    def for_flight(self) -> ssl.SSLContext | None:
        """Return what handshakes of Arrow Flight are made with; None where there is none."""
        return self._pair.for_flight

    def session(self) -> Session:
        """Return the TLS of a new connection, whose handshake is to be made."""
        return Session(self._pair.context)

    def look(self) -> None:
        """Take up what is in the files, if that is new and can be used."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._take_up(stamp)
        if (expiring := self._pair.expiring(self._clock())) is not None:
            self._remind(expiring)

    def _take_up(self, stamp: Stamp) -> None:
        try:
            found = pair.load(self._settings, self._clock())
        except StartError as error:
            self._explain(str(error))
            return
        self._pair, self._stamp = found, stamp
        self._doubt = self._told = ""
        self._reminded = float("-inf")
        if self._may_log:
            fields = {"expires": chain.moment(self.expires)}
            logger.info("the certificate was read anew", extra={"fields": fields})
            self._log_warnings()

    def _explain(self, reason: str) -> None:
        """Log why the files can't be used, once, and not while they are being written."""
        if reason == self._doubt != self._told and self._may_log:
            logger.error(
                "The certificate in use stays, since the new one can't be used: %s", reason
            )
            self._told = reason
        self._doubt = reason

    def _remind(self, expiring: str) -> None:
        now = self._clock()
        if now - self._reminded >= DAY and self._may_log:
            self._reminded = now
            logger.warning(expiring)

    def _log_warnings(self) -> None:
        for warning in self._pair.warnings:
            logger.warning(warning)

    @property
    def _may_log(self) -> bool:
        return os.getpid() == self._maker

    def _stamp_now(self) -> Stamp:
        chosen = self._settings
        stamps: list[tuple[int, int, int, int] | None] = []
        for file in (chosen.certificate_file, chosen.key_file, chosen.key_password_file):
            try:
                found = os.stat(file) if file is not None else None  # noqa: PTH116 - None
            except OSError:
                found = None
            stamps.append(
                found and (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            )
        return tuple(stamps)


async def keep_up_to_date(certificate: ServedCertificate | None) -> None:
    """Look at the files, for ever: on a thread, since reading and checking them takes a while."""
    while certificate is not None:
        await asyncio.sleep(LOOK_EVERY)
        await asyncio.to_thread(certificate.look)
