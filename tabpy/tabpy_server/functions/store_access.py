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

from tabpy.tabpy_server.errors import StartError, StoreUnavailableError, TabPyError
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
        self._reachable = True
        self._why = ""  # it can't be used, as of the last operation

    async def problem(self) -> str:
        """Ask the store something; return why it can't be used, "" if it can."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.run(lambda store: store.answer(), "read")
        except StoreUnavailableError:
            return self._why
        except TimeoutError:
            return f"It didn't answer within {PATIENCE:g} s."
        return ""

    async def run(self, operation: Callable[["Store"], Result], kind: str) -> Result:
        """Return what an operation returns; `kind` is for the metrics.

        Raises what it raises, and StoreUnavailableError for a store that can't be used.
        """
        started = time.monotonic()
        try:
            result = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._with_store, operation
            )
        except (TabPyError, LookupError):
            raise
        except (StartError, OSError) as error:  # found out only now: scripts don't wait for it
            raise self._unavailable(str(error)) from None
        except Exception as error:
            from sqlalchemy.exc import SQLAlchemyError

            if not isinstance(error, SQLAlchemyError):
                raise
            # Its text may quote the connection's URL and the data.
            raise self._unavailable(type(error).__name__) from None
        else:
            if not self._reachable:
                self._reachable = True
                logger.info("The store of deployed functions answers again.")
            return result
        finally:
            self._counters.store.append((kind, time.monotonic() - started))

    def _unavailable(self, why: str) -> StoreUnavailableError:
        self._why = why
        if self._reachable:
            self._reachable = False
            logger.error("The store of deployed functions can't be used: %s", why)
        return StoreUnavailableError()

    def _with_store(self, operation: Callable[["Store"], Result]) -> Result:
        with self._opening:
            if self._store is None:
                self._store = self._open_store()
        return operation(self._store)
