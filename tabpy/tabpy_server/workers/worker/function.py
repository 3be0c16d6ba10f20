"""The script worker: calling a deployed function, from a request or from a script."""

import hashlib
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import unquote

from tabpy.tabpy_server.errors import (
    FunctionFailedError,
    InvalidInputError,
    TabPyError,
    UnknownFunctionError,
)
from tabpy.tabpy_server.json_codec import dumps, json_type
from tabpy.tabpy_server.workers.protocol import Reference
from tabpy.tabpy_server.workers.worker import account, results
from tabpy.tabpy_server.workers.worker.models import Model, Models, ScriptEndedError
from tabpy.tabpy_server.workers.worker.request import Headers, Request
from tabpy.tabpy_server.workers.worker.request_body import Body, read
from tabpy.tabpy_server.workers.worker.results import Piece

Answer = TypeVar("Answer")


class FunctionError(KeyError):
    """`tabpy.query` in a script: the function is not there, or it failed; the text says why.

    It is a KeyError since TabPy's scripts had one, of "response", and may expect it.
    """

    __str__ = Exception.__str__


class TabPy:
    """What a script knows as `tabpy`."""

    def __init__(self, models: Models, request: Request | None = None) -> None:
        self._models = models
        self._request = request or Request()
        self.crash: Exception | None = None  # what our own code raised, whoever may have caught it

    @property
    def headers(self) -> Headers:
        """What Tableau says of its user: `TabPy-User` and `TabPy-Client`, if it does."""
        return self._request.headers

    @property
    def logger(self) -> logging.Logger:
        """Write to the server's log, under the request's id."""
        return self._request.logger()

    def query(self, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Call a deployed function, right here: `{"response", "version", "model", "uuid"}`.

        Arguments and response are values, as if they came by HTTP: neither side can change what
        the other has. Raises FunctionError with the cause, and TypeError for an argument that has
        no form in JSON.
        """
        try:
            model = self._find(name)
            given = results.plain(args), results.plain(kwargs)
            response = _call(model, *given, results.plain)
        except TabPyError as error:
            raise FunctionError(f"{error.message}: {error.info}") from None
        except ScriptEndedError as error:
            raise FunctionError(str(error)) from None
        except results.UnfitError as error:
            raise error.reason("tabpy.query was given", "give it") from None
        except (MemoryError, RecursionError):
            raise  # not ours: the script has left too little room
        except Exception as error:
            self.crash = error
            raise
        return {
            "response": response,
            "version": model.version,
            "model": model.name,
            "uuid": str(uuid.uuid4()),
        }

    def _find(self, name: str) -> Model:
        if not isinstance(name, str):
            raise UnknownFunctionError(f"There is no function '{name}' on this server.")
        try:
            return self._models.find(name)
        except UnknownFunctionError as unknown:
            plain = unquote(name)  # TabPy put the name into a URL as it was
            if plain == name:
                raise
            try:
                return self._models.find(plain)
            except UnknownFunctionError:
                raise unknown from None


def query(
    body: Body,
    reference: Reference,
    models: Models,
    take: Callable[[Iterable[Piece]], bytes] = b"".join,
) -> tuple[bytes, str]:
    """Return what `POST /query/<name>` answers, and a tag of what the function returned. `take`:
    takes the answer's JSON, and returns what is to be returned here.

    Raises InvalidInputError, NotLoadableError, and FunctionFailedError for what it raised.
    """
    args, kwargs = _parse(body)
    model = models.load(reference)
    digest = hashlib.blake2b(digest_size=16)

    def answer(returned: Any) -> Iterator[Piece]:
        yield b'{"response":'
        for piece in results.pieces(returned):
            digest.update(piece)
            yield piece
        rest = {"version": model.version, "model": model.name, "uuid": str(uuid.uuid4())}
        yield b"," + dumps(rest)[1:]

    answered = _call(model, args, kwargs, lambda returned: take(answer(returned)))
    return answered, digest.hexdigest()


def _call(
    model: Model, args: list[Any], kwargs: dict[str, Any], convert: Callable[[Any], Answer]
) -> Answer:
    try:
        returned = _awaited(model.query(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - the border: a function may raise anything
        raise _failed(model, error) from None
    try:
        return convert(returned)
    except results.UnfitError as error:
        raise _failed(model, error.reason("The function returned")) from None


def _awaited(returned: Any) -> Any:
    """Return what an `async` function returns in the end, and anything else as it is."""
    if not isinstance(returned, Coroutine):
        return returned
    import asyncio  # 40 ms, which most functions don't need

    return asyncio.run(returned)


def _failed(model: Model, error: BaseException) -> FunctionFailedError:
    told = account.of_function(error)
    out_of_memory = isinstance(error, MemoryError)
    return FunctionFailedError(
        model.name, told.info, trace=told.trace, at=told.at, out_of_memory=out_of_memory
    )


def _parse(body: Body) -> tuple[list[Any], dict[str, Any]]:
    """Return positional and named arguments: `{"data": [...]}` or `{"data": {...}}`."""
    try:
        request = read(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("Request body is not valid JSON.", str(error)) from None
    data = request.get("data") if isinstance(request, dict) else None
    if isinstance(data, list):
        return data, {}
    if isinstance(data, dict):
        return [], data
    got = json_type(data if isinstance(request, dict) else request)
    raise InvalidInputError(
        'Input data must be a dictionary with a key called "data".',
        f'Expected {{"data": {{"name": value}}}} or {{"data": [value, ...]}}, got {got}.',
    )
