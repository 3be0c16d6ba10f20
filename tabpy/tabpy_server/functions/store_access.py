"""The web process's way to the store: its calls block, so they run on threads.

The store's library takes a third of a second to import, so that happens there too, while the server
already answers scripts.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from tabpy.tabpy_server.errors import (
    DiskFullError,
    StartError,
    StoreUnavailableError,
    TabPyError,
)
from tabpy.tabpy_server.functions.store.reasons import trouble
from tabpy.tabpy_server.metrics.counters import Counters

if TYPE_CHECKING:
    from tabpy.tabpy_server.functions.store.store import Store

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

THREADS = 2
PATIENCE = 2.0  # seconds that it may take to say that it is there


class StoreAccess:
    """Runs operations on the store, which it opens for the first of them."""

    def __init__(self, open_store: Callable[[], "Store"], counters: Counters) -> None:
        """`open_store` runs on a thread."""
        self._open_store = open_store
        self._counters = counters
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._store: Store | None = None
        self._opening = threading.Lock()
        self.problem = ""  # why it can't be used, as of its last use; "" if it can

    async def ask(self) -> str:
        """Ask the store something; return why it can't be used, "" if it can."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.run(lambda store: store.answer(), "read")
        except StoreUnavailableError:
            return self.problem
        except TimeoutError:
            return f"It didn't answer within {PATIENCE:g} s."
        return ""

    async def run(self, operation: Callable[["Store"], Result], kind: str) -> Result:
        """Return what an operation returns; `kind` is for the metrics.

        Raises what it raises, StoreUnavailableError for a store that can't be used, and
        DiskFullError.
        """
        started = time.monotonic()
        try:
            result = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._with_store, operation
            )
        except (TabPyError, LookupError):
            raise
        except StartError as error:  # found out only now: scripts don't wait for it
            raise self._unavailable(str(error)) from None
        except Exception as error:
            from sqlalchemy.exc import SQLAlchemyError

            if not isinstance(error, SQLAlchemyError | OSError):
                raise
            # Its text may quote the connection's URL and the data.
            why, is_full = trouble(error)
            if is_full:
                logger.error("Not stored: %s", why)
                raise DiskFullError(why) from None
            raise self._unavailable(why) from None
        else:
            if self.problem:
                self.problem = ""
                logger.info("The store of deployed functions answers again.")
            return result
        finally:
            self._counters.store.append((kind, time.monotonic() - started))

    def _unavailable(self, why: str) -> StoreUnavailableError:
        if self.problem != why:
            self.problem = why
            logger.error("The store of deployed functions can't be used: %s", why)
        return StoreUnavailableError(why)

    def _with_store(self, operation: Callable[["Store"], Result]) -> Result:
        with self._opening:
            if self._store is None:
                self._store = self._open_store()
        return operation(self._store)
