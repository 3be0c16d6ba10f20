"""The script worker: calling a deployed function, from a request or from a script."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from tabpy.tabpy_server.errors import RequestError, TabPyError
from tabpy.tabpy_server.json_codec import json_type, loads
from tabpy.tabpy_server.workers.worker import failures, results
from tabpy.tabpy_server.workers.worker.models import Model, Models


class FunctionError(Exception):
    """`tabpy.query` in a script: the function is not there, or it failed; the text says why."""


class TabPy:
    """What a script knows as `tabpy`."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def query(self, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Call a deployed function, right here: `{"response", "version", "model", "uuid"}`.

        Raises FunctionError with the cause.
        """
        try:
            model = self._models.find(name)
            response = results.simple(_call(model, args, kwargs))
        except (RequestError, TabPyError) as problem:
            raise FunctionError(f"{problem.message}: {problem.info}") from None
        return {
            "response": response,
            "version": model.version,
            "model": model.name,
            "uuid": str(uuid.uuid4()),
        }


def query(
    body: bytes | memoryview, reference: Mapping[str, Any], models: Models
) -> tuple[bytes, str]:
    """What `POST /query/<name>` answers, and a tag of what the function returned.

    Raises RequestError: 400 for a body that isn't right, 500 for whatever the function raised.
    """
    args, kwargs = _parse(body)
    model = models.load(reference)
    response = _call(model, args, kwargs, encode=results.encode)
    tag = hashlib.blake2b(response, digest_size=16).hexdigest()
    rest = {"version": model.version, "model": model.name, "uuid": str(uuid.uuid4())}
    return b'{"response":' + response + b"," + orjson.dumps(rest)[1:], tag


def _call(model: Model, args: Any, kwargs: Any, encode: Any = lambda value: value) -> Any:
    try:
        return encode(model.query(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - the border: a function may raise anything
        raise RequestError(
            500, f"Error querying function '{model.name}'", failures.describe_function(error)
        ) from None


def _parse(body: bytes | memoryview) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments: `{"data": [...]}` or `{"data": {...}}`."""
    try:
        request = loads(body)
    except (ValueError, RecursionError) as problem:
        raise RequestError(400, "Request body is not valid JSON.", str(problem)) from None
    data = request.get("data") if isinstance(request, dict) else None
    if isinstance(data, list):
        return data, {}
    if isinstance(data, dict):
        return [], data
    got = json_type(data if isinstance(request, dict) else request)
    raise RequestError(
        400,
        'Input data must be a dictionary with a key called "data".',
        f'Expected {{"data": {{"name": value}}}} or {{"data": [value, ...]}}, got {got}.',
    )
