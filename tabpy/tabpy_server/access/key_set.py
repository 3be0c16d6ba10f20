"""The issuer's keys, at hand: fetched on a thread, refreshed before they are asked for.

A token whose key is known never waits. One with another key waits for a fetch that begins after it
came, so a new key counts at once, however many tokens with invented keys come meanwhile: they all
share one fetch.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

from tabpy.tabpy_server.access.key_download import Key, KeyDownloadError
from tabpy.tabpy_server.errors import KeysUnavailableError

logger = logging.getLogger(__name__)

Keys = Mapping[str, Key]

REFRESH = 300.0  # seconds between fetches in the background
RETRY = 15.0  # seconds until the next, after one that failed
PAUSE = 1.0  # seconds between the beginnings of two fetches, whoever asks
LONGEST_WAIT = 15.0  # seconds that a token with an unknown key waits
OLDEST = 24 * 3600.0  # seconds that keys count without a fetch: the issuer may have withdrawn them

NO_KEYS: Keys = MappingProxyType({})


class KeySet:
    """The keys that `download` returned last; it may block, and raise anything."""

    def __init__(self, download: Callable[[], Keys]) -> None:
        self._download = download
        self._keys = NO_KEYS
        self._fetched = 0.0
        self._began = float("-inf")
        self._is_failing = False
        self._one_by_one = asyncio.Lock()
        self._current: asyncio.Task[None] | None = None  # may have begun
        self._next: asyncio.Task[None] | None = None  # hasn't begun

    @property
    def is_failing(self) -> bool:
        """Tell whether the last fetch of them failed."""
        return self._is_failing

    def known(self) -> Keys:
        """Return the keys by their ids: the same object for as long as nothing has changed."""
        if self._keys and time.monotonic() - self._fetched > OLDEST:
            self._keys = NO_KEYS
        return self._keys

    async def find(self, identity: str) -> Key | None:
        """Return the key of this id; None if the issuer has none. Fetches if it isn't known.

        Raises KeysUnavailableError if that can't be found out.
        """
        if key := self.known().get(identity):
            return key
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                if self._current is not None:
                    await asyncio.shield(self._current)
                    if key := self.known().get(identity):
                        return key
                await asyncio.shield(self._coming())
        except TimeoutError:
            raise KeysUnavailableError from None
        if key := self.known().get(identity):
            return key
        if self._is_failing:
            raise KeysUnavailableError
        return None

    async def keep(self) -> None:
        """Fetch now, and then again and again."""
        while True:
            await asyncio.shield(self._coming())
            await asyncio.sleep(RETRY if self._is_failing else REFRESH)

    def _coming(self) -> asyncio.Task[None]:
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._fetch())
        return self._next

    async def _fetch(self) -> None:
        async with self._one_by_one:
            await asyncio.sleep(max(0.0, self._began + PAUSE - time.monotonic()))
            self._current, self._next = self._next, None
            self._began = time.monotonic()
            try:
                self._take(await _on_thread(self._download))
            except Exception as error:  # noqa: BLE001 - nothing that an issuer sends may end this
                self._fail(error)
            finally:
                self._current = None

    def _take(self, keys: Keys) -> None:
        if self._is_failing:
            logger.info("The issuer's keys can be fetched again.")
        self._is_failing = False
        self._fetched = time.monotonic()
        if _content(keys) != _content(self._keys):
            self._keys = keys
            logger.info("The issuer has %d keys.", len(keys))

    def _fail(self, error: Exception) -> None:
        if not self._is_failing:  # once: a server that is down is asked again and again
            reason = str(error) if isinstance(error, KeyDownloadError) else repr(error)
            logger.warning(
                "The issuer's keys can't be fetched from TABPY_OAUTH_JWKS_URI: %s. %s",
                reason[:300],
                "Those of the last fetch count on."
                if self._keys
                else "No token can be checked until they can.",
            )
        self._is_failing = True


def _content(keys: Keys) -> Mapping[str, Mapping[str, object]]:
    return {identity: key.parameters for identity, key in keys.items()}


async def _on_thread(call: Callable[[], Keys]) -> Keys:
    """Return what `call` returns. Unlike an executor's, its thread never keeps a process that
    stops."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Keys] = loop.create_future()

    def settle(keys: Keys | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        elif keys is not None:
            done.set_result(keys)

    def run() -> None:
        keys, error = None, None
        try:
            keys = call()
        except Exception as raised:  # noqa: BLE001 - handed to who waits
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, keys, error)

    threading.Thread(target=run, name="issuer's keys", daemon=True).start()
    return await done
