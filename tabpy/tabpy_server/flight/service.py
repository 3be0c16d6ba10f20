"""The flight process: what Arrow Flight's calls do.

pyarrow calls these methods on threads of gRPC's. It sends a client what they raise; of errors that
aren't meant for clients they only learn where to look.
"""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tabpy.tabpy_server.errors import (
    BadTableError,
    InvalidInputError,
    KeysUnavailableError,
    MissingRightError,
    MissingScopeError,
    RefusedError,
    TabPyError,
    TooManySignInsError,
    UnknownTableError,
    WrongCredentialsError,
)
from tabpy.tabpy_server.flight import ipc
from tabpy.tabpy_server.flight.sign_in import (
    HEADER,
    NONE,
    WRONG,
    Caller,
    NoCredentialsError,
    SignIn,
)
from tabpy.tabpy_server.flight.store import Key, Store, Table
from tabpy.tabpy_server.memfd import Memory
from tabpy.tabpy_server.rights import EVALUATE

logger = logging.getLogger("tabpy.flight")

SIGN_IN = "sign-in"  # the middleware's name
ACTIONS = {
    "getUniquePath": "Get a path that no table has.",
    "clear": "Remove all tables of yours.",
    "healthcheck": "Do nothing, successfully.",
}
SHUTDOWN = RefusedError(
    "shutdown is refused.",
    "A client can't stop what others use: whoever runs the server stops it there.",
)
# TabPyErrors, and what pyarrow's clients raise in their place; others are a FlightServerError.
KINDS: tuple[tuple[type[TabPyError], Callable[[str], Exception]], ...] = (
    (WrongCredentialsError, flight.FlightUnauthenticatedError),
    (MissingRightError, flight.FlightUnauthorizedError),
    (MissingScopeError, flight.FlightUnauthorizedError),
    (RefusedError, flight.FlightUnauthorizedError),
    (TooManySignInsError, flight.FlightUnavailableError),
    (KeysUnavailableError, flight.FlightUnavailableError),
    (UnknownTableError, pa.ArrowKeyError),
    (InvalidInputError, pa.ArrowInvalid),
    (BadTableError, pa.ArrowInvalid),
)


class Service(flight.FlightServerBase):
    """The tables of a `Store`, for those whom `sign_in` lets in.

    It listens on a port of this machine's that nobody is told; see `front`.
    """

    def __init__(
        self, store: Store, sign_in: SignIn, location: str, loop: asyncio.AbstractEventLoop
    ) -> None:
        """`location`: where clients can fetch tables; "": where they are connected."""
        self._store = store
        self._locations = [location] if location else []
        super().__init__(
            "grpc://127.0.0.1:0",
            auth_handler=_NoHandshake(),
            middleware={SIGN_IN: _SignInFactory(sign_in, loop)},
        )

    # Calls of clients

    def list_actions(self, context: Any) -> list[Any]:
        """Say which actions there are."""
        with _call(context, "list_actions", None):
            return [flight.ActionType(*each) for each in ACTIONS.items()]

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        """Do an action."""
        needed = None if action.type == "healthcheck" else EVALUATE
        with _call(context, action.type[:40], needed) as call:
            match action.type:
                case "getUniquePath":
                    return [str(uuid.uuid4()).encode()]
                case "clear":
                    self._store.clear(call.owner)
                    return []
                case "healthcheck":
                    return []
                case "shutdown":
                    raise SHUTDOWN
                case unknown:
                    known = ", ".join(ACTIONS)
                    raise InvalidInputError(
                        f"Unknown action '{unknown[:40]}'.", f"There are {known}."
                    )

    def list_flights(self, context: Any, criteria: bytes) -> list[Any]:
        """Describe the caller's own tables; criteria are ignored, as TabPy does."""
        with _call(context, "list_flights", EVALUATE) as call:
            return [self._described(each) for each in self._store.of(call.owner)]

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        """Describe one table."""
        with _call(context, "get_flight_info", EVALUATE) as call:
            return self._described(self._store.find(call.owner, _key(descriptor)))

    def get_schema(self, context: Any, descriptor: Any) -> Any:
        """Return the schema of one table."""
        with _call(context, "get_schema", EVALUATE) as call:
            found = self._store.find(call.owner, _key(descriptor))
            return flight.SchemaResult(_read(found).schema)

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Keep a table, in place of one that is there by the same path or command."""
        with _call(context, "do_put", EVALUATE) as call, self._store.room(call.owner) as room:
            batches = (chunk.data for chunk in reader if chunk.data is not None)
            content, rows = ipc.write(reader.schema, batches, room.grow)
            call.is_about(self._store.put(room, _key(descriptor), content, rows))

    def do_get(self, context: Any, ticket: Any) -> Any:
        """Send the table of a ticket; it is removed when all of it was sent."""
        with _call(context, "do_get", EVALUATE) as call:
            found = self._store.redeem(call.owner, ticket.ticket)
            call.is_about(found)
            reader = _read(found)
            # No GeneratorStream of pyarrow's: that one can't send dictionaries.
            batches = pa.RecordBatchReader.from_batches(reader.schema, self._sent(found, reader))
            return flight.RecordBatchStream(batches)

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Refuse: TabPy has no such call."""
        with _call(context, "do_exchange", EVALUATE):
            raise InvalidInputError("There is no do_exchange here.", "Use do_put and do_get.")

    def _sent(self, table: Table, reader: Any) -> Iterator[Any]:
        yield from reader
        self._store.remove(table)

    def _described(self, table: Table) -> Any:
        endpoint = flight.FlightEndpoint(table.ticket, self._locations)
        return flight.FlightInfo(
            _read(table).schema,
            _descriptor(table.key),
            [endpoint],
            total_records=table.rows,
            total_bytes=table.size,
        )


def _read(table: Table) -> Any:
    assert isinstance(table.content, Memory)
    return ipc.read(table.content)


def _key(descriptor: Any) -> Key:
    if descriptor.descriptor_type == flight.DescriptorType.CMD:
        return Key(command=descriptor.command)
    return Key(tuple(descriptor.path or ()))


def _descriptor(key: Key) -> Any:
    if key.command is not None:
        return flight.FlightDescriptor.for_command(key.command)
    return flight.FlightDescriptor.for_path(*key.path)


class _Call:
    """A call under way: whose it is, and what the log says of it."""

    def __init__(self, caller: Caller, action: str) -> None:
        self.owner = caller.owner
        self.fields: dict[str, object] = {
            "request_id": os.urandom(12).hex(),
            "user": caller.in_log,
            "action": action,
        }

    def is_about(self, table: Table) -> None:
        """Have the log tell how large the table is."""
        self.fields |= {"rows": table.rows, "bytes": table.size}


@contextmanager
def _call(context: Any, action: str, needed: str | None) -> Iterator[_Call]:
    """Have a call, whose caller needs a right; log it, and raise what a client may be told."""
    caller: Caller = context.get_middleware(SIGN_IN).caller
    call, started = _Call(caller, action), time.monotonic()
    error, level = None, logging.INFO
    try:
        if needed is not None:
            caller.person.need(needed)
        yield call
    except TabPyError as raised:
        error, level = type(raised).__name__, logging.WARNING
        raise _told(raised) from None
    except pa.ArrowCancelled as raised:  # by the client
        error = type(raised).__name__
        raise
    except pa.ArrowException as raised:  # what came isn't Arrow's
        error, level = type(raised).__name__, logging.WARNING
        raise _told(BadTableError(ipc.reason(raised))) from None
    except Exception as raised:
        error, level = type(raised).__name__, logging.ERROR
        request_id = call.fields["request_id"]
        logger.exception("failure", extra={"fields": {"request_id": request_id}})
        raise flight.FlightInternalError(
            f"Internal error. It is in the server's log, under request_id={request_id}"
        ) from None
    finally:
        took = {"error": error, "total_ms": round((time.monotonic() - started) * 1000, 1)}
        logger.log(level, "flight", extra={"fields": call.fields | took})


def _told(error: TabPyError) -> Exception:
    """Return an error as pyarrow sends it."""
    kind = next((made for kind, made in KINDS if isinstance(error, kind)), flight.FlightServerError)
    return kind(str(error).rstrip("."))  # to which clients append a stop


class _NoHandshake(flight.ServerAuthHandler):
    """Lets pyarrow's handshake through: the middleware has looked at its header already."""

    def authenticate(self, outgoing: Any, incoming: Any) -> None:
        """Ask for nothing more."""

    def is_valid(self, token: bytes) -> bytes:
        """Take any; that of the middleware counts."""
        return b""


class _SignInFactory(flight.ServerMiddlewareFactory):
    """Lets calls in, or refuses them, before anything of theirs is read."""

    def __init__(self, sign_in: SignIn, loop: asyncio.AbstractEventLoop) -> None:
        self._sign_in = sign_in
        self._loop = loop

    def start_call(self, info: Any, headers: Any) -> "_SignedIn":
        """Return what goes along with a call. Raises what its client is told."""
        by_name = {name.lower(): values for name, values in headers.items()}
        admitted = asyncio.run_coroutine_threadsafe(self._sign_in.admit(by_name), self._loop)
        try:
            return _SignedIn(admitted.result())
        except NoCredentialsError:
            raise flight.FlightUnauthenticatedError(NONE) from None
        except (TooManySignInsError, KeysUnavailableError) as error:
            raise _told(error) from None
        except TabPyError:
            raise flight.FlightUnauthenticatedError(WRONG) from None
        except Exception:
            logger.exception("failure")
            raise flight.FlightInternalError("Internal error. It is in the server's log") from None


class _SignedIn(flight.ServerMiddleware):
    """A call's caller; sends them their bearer token."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def sending_headers(self) -> dict[str, str]:
        """Return what goes back with the reply's headers."""
        return {HEADER: f"Bearer {self.caller.bearer}"} if self.caller.bearer else {}
