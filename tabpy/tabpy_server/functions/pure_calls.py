"""Calls of pure functions: those that are the same run once, and results may be kept.

A function is pure if its author says so: see `Endpoint.pure`. Two calls are the same if the same
owner sends the same bytes, with the same headers that a script may see, to a name that stands for
the same version, and so does every name: a function may call others. All of that is in a key.
"""

import asyncio
import secrets
import time
from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

from tabpy.tabpy_server.errors import FunctionNotReadyError
from tabpy.tabpy_server.functions.result_cache import Result, ResultCache
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.workers.pool.body import LARGE
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.pool.shared_jobs import Runner, SharedJobs
from tabpy.tabpy_server.workers.protocol import Reply

BODY_LIMIT = LARGE  # bytes; larger ones are in memory that only one worker gets
LOOK_EVERY = 1.0  # seconds


class Catalog(Protocol):
    """Who knows which functions are pure (`catalog.Catalog`)."""

    @property
    def pure(self) -> Collection[str]:
        """Names of pure functions; may be out of date."""

    @property
    def change_token(self) -> str:
        """What differs after every change."""

    async def pure_since(self, name: str) -> str | None:
        """Return the change token of the present functions if `name` is pure among them. Raises
        StoreUnavailableError."""


class Way(StrEnum):
    """How a call came to its result."""

    HIT = "hit"  # it was kept
    JOINED = "joined"  # a job ran for another call already
    MISS = "miss"  # a job of its own
    BYPASS = "bypass"  # the same, and nobody may join: the body is too large


class PureCalls:
    """Makes calls. `cache` is of this process alone."""

    def __init__(
        self, catalog: Catalog, pool: Runner, counters: Counters, cache: ResultCache
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._counters = counters
        self._cache = cache
        self._jobs = SharedJobs(pool)
        self._secret = secrets.token_bytes(32)
        self._kept_since = ""  # the change token of what is kept

    def call(self, name: str) -> "PureCall | None":
        """Return a call of `name`; None if it's not known to be pure."""
        return PureCall(self) if name in self._catalog.pure else None

    async def keep(self) -> None:
        """Drop what is out of date, for ever; there is nothing to do where nothing is kept."""
        while self._cache.room:
            await asyncio.sleep(LOOK_EVERY)
            self._drop_outdated()
            self._cache.drop_old()
            self._counters.result_bytes = self._cache.size

    async def run(self, job: Job, timing: Timing, call: "PureCall") -> Outcome:
        """See `PureCall.run`."""
        function = job.function or ""
        deadline = time.monotonic() + job.timeout
        try:
            async with asyncio.timeout(job.timeout):
                since = await self._catalog.pure_since(function)
        except TimeoutError:
            raise FunctionNotReadyError(function, job.timeout) from None
        if since is None:
            return await self._pool.run(job, timing)
        if job.memory is not None or job.size > BODY_LIMIT:
            self._note(call, Way.BYPASS)
            return await self._pool.run(job, timing)
        key = self._key(since, job)
        self._drop_outdated()
        if (found := self._cache.get(key)) is not None:
            call.age, call.left = found.age, found.left
            self._note(call, Way.HIT)
            return Outcome(Reply(found.result.etag), found.result.body)
        shared = self._jobs.find(key)
        self._note(call, Way.MISS if shared is None else Way.JOINED)
        shared = shared or self._jobs.begin(key, job)
        outcome, is_first = await shared.wait(deadline, timing)
        if not is_first:
            return replace(outcome, message=replace(outcome.message, printed="", logged=[]))
        is_small = outcome.memory is None
        if isinstance(outcome.message, Reply) and is_small and since == self._catalog.change_token:
            call.is_stored = self._cache.put(key, Result(outcome.body, outcome.message.etag))
            self._counters.result_bytes = self._cache.size
        return outcome

    def _note(self, call: "PureCall", way: Way) -> None:
        call.way = way
        self._counters.pure_calls[way] += 1

    def _key(self, since: str, job: Job) -> bytes:
        """Return what two calls have in common that are the same. `since`: a change token."""
        digest = blake2b(key=self._secret, digest_size=32)
        # In Python's form, which is another one for other texts, and ends with its bracket.
        digest.update(repr((since, job.function, job.owner, job.headers)).encode())
        for piece in job.body:
            digest.update(piece)
        return digest.digest()

    def _drop_outdated(self) -> None:
        now = self._catalog.change_token
        if now != self._kept_since:
            self._cache.clear()
            self._kept_since = now


class PureCall:
    """One request's call. `way` is None until it is known. For a HIT, `age` and `left` are the
    seconds since the result was kept, and until it goes. `is_stored`: the result is kept now."""

    def __init__(self, calls: PureCalls) -> None:
        self._calls = calls
        self.way: Way | None = None
        self.age = self.left = 0.0
        self.is_stored = False

    async def run(self, job: Job, timing: Timing) -> Outcome:
        """Do what `Pool.run` does, or give what was found out by the same call. What was printed
        and logged, and `timing`, are those of a job, and given once."""
        return await self._calls.run(job, timing, self)
