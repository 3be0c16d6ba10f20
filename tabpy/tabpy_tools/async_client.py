"""`Client` for programs that run on asyncio."""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from tabpy.tabpy_tools.client import Client

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Self = TypeVar("_Self", bound="AsyncClient")


def _awaited(
    method: Callable[Concatenate[Client, _Arguments], _Result],
) -> Callable[Concatenate["AsyncClient", _Arguments], Coroutine[Any, Any, _Result]]:
    """Return the method of `Client` as one of `AsyncClient`, with its arguments and words."""

    @functools.wraps(method)
    async def call(
        self: "AsyncClient", /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        return await self._on_thread(functools.partial(method, self._client, *args, **kwargs))

    return call


class AsyncClient:
    """The methods of `Client`, to be awaited; `endpoint` and the like mean what they mean there.

    Each call blocks a thread of this client's own, not the event loop; `at_once` of them go on at
    a time, and others wait. A call that is cancelled, or times out with `asyncio.timeout`, raises
    at once, but its request isn't taken back: the thread goes on until the reply has come, or until
    `query_timeout`, so that a function still runs and a deployment may still be made.

    `async with AsyncClient() as client` waits for the calls under way and closes at the end. For
    thousands of calls at a time a client that doesn't need a thread for each would be better.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        query_timeout: float = 1000,
        *,
        ca_certificates: str | None = None,
        verify: bool = True,
        at_once: int = 10,
    ) -> None:
        self._client = Client(
            endpoint, query_timeout, ca_certificates=ca_certificates, verify=verify
        )
        self._client._connection.allow(at_once)
        self._threads = ThreadPoolExecutor(at_once, "tabpy-client")

    query = _awaited(Client.query)
    evaluate = _awaited(Client.evaluate)
    deploy = _awaited(Client.deploy)
    deploy_model = _awaited(Client.deploy_model)
    deploy_alias = _awaited(Client.deploy_alias)
    update_endpoint_info = _awaited(Client.update_endpoint_info)
    get_status = _awaited(Client.get_status)
    get_endpoints = _awaited(Client.get_endpoints)
    versions = _awaited(Client.versions)
    rollback = _awaited(Client.rollback)
    remove = _awaited(Client.remove)

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return self._client.url

    @property
    def query_timeout(self) -> float:
        """How long `query` and `evaluate` wait for an answer, in seconds; 0.0 is for ever."""
        return self._client.query_timeout

    @query_timeout.setter
    def query_timeout(self, seconds: float) -> None:
        self._client.query_timeout = seconds

    def set_credentials(self, username: str, password: str) -> None:
        """Identify as this user from now on, in place of any token."""
        self._client.set_credentials(username, password)

    def set_token(self, token: str) -> None:
        """Identify by this bearer token (OAuth) from now on, in place of any user."""
        self._client.set_token(token)

    def __repr__(self) -> str:
        return repr(self._client).replace("Client", type(self).__name__, 1)

    def _repr_html_(self) -> str:
        return self._client._repr_html_()

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the calls under way, and close; it can't be used any more."""
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    async def _on_thread(self, call: Callable[[], _Result]) -> _Result:
        context = contextvars.copy_context()
        run: Callable[[], _Result] = functools.partial(context.run, call)
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)
