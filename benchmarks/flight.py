"""Arrow Flight against JSON: a table there, through one script, and back, on our server."""

import json
import math
import random
import time
from typing import Any

import pyarrow as pa
from pyarrow import flight as arrow

from benchmarks.connection import Reply, WrongReply
from benchmarks.measure import evaluate, first_right, once
from benchmarks.report import Goal, Row, Sample, alternate, row
from benchmarks.servers import USER, Kind, Server, free_port, running

ROUNDS = 5
MILLION = 1_000_000
# It gets a DataFrame by Flight, and a dictionary of columns by JSON; it returns a table of both.
SCRIPT = "import pandas as pd\ntable = pd.DataFrame(_arg1)\ntable['a'] *= 2\nreturn table"


def flight(ours: Kind, _: Kind) -> list[Row]:
    """Ours only: in place of TabPy's, the second figure is that of JSON."""
    source = random.Random(0)
    columns: dict[str, list[Any]] = {
        "a": [source.uniform(-1000, 1000) for _ in range(MILLION)],
        "b": [source.uniform(-1000, 1000) for _ in range(MILLION)],
        "number": [*range(MILLION)],
        "region": [source.choice(("north", "south", "east")) for _ in range(MILLION)],
        "day": [f"2024-01-{source.randrange(1, 29):02d}" for _ in range(MILLION)],
    }
    port = free_port()
    settings = {
        "TABPY_ARROW_ENABLE": "true",
        "TABPY_ARROWFLIGHT_PORT": str(port),
        "TABPY_MAX_REQUEST_SIZE_MB": "500",
    }
    with running(ours, settings) as server:
        first_right(server)
        ways: tuple[_Way, _Way] = _Flight(server, port, columns), _Json(server, columns)
        sides = alternate(*ways, ROUNDS, _Way.measure)
    return [row("a million rows x 5, Flight; JSON", "s", sides, "seconds", Goal(times=5))]


class _Way:
    """How a table goes to the server and comes back."""

    def __init__(self, server: Server, columns: dict[str, list[Any]]) -> None:
        self.server = server
        self._right = [value * 2 for value in columns["a"]]

    def measure(self) -> Sample:
        """Seconds from the first byte sent to the last received; what came is looked at."""
        begun = time.perf_counter()
        came = self.go()
        seconds = time.perf_counter() - begun
        doubled = self.column(came)
        if len(doubled) != MILLION or not all(map(math.isclose, doubled, self._right)):
            raise WrongReply("the table that came back isn't right")
        return {"seconds": seconds}

    def go(self) -> Any:
        """Send the table, have the script work on it, and return the result as it comes."""
        raise NotImplementedError

    def column(self, came: Any) -> Any:
        """Return the column that the script changed."""
        raise NotImplementedError


class _Flight(_Way):
    def __init__(self, server: Server, port: int, columns: dict[str, list[Any]]) -> None:
        super().__init__(server, columns)
        self._table = pa.table(columns)
        self._client = arrow.connect(f"grpc://127.0.0.1:{port}")
        header = self._client.authenticate_basic_token(USER, server.kind.password)
        self._options = arrow.FlightCallOptions(headers=[header])

    def go(self) -> Any:
        path = arrow.FlightDescriptor.for_path("table")
        writer, _ = self._client.do_put(path, self._table.schema, self._options)
        with writer:
            writer.write_table(self._table)
        asked = evaluate(self.server, {"script": SCRIPT, "dataPath": "table"})
        made = json.loads(_right(once(self.server, asked)).body)["outputDataPath"]
        found = arrow.FlightDescriptor.for_path(made)
        [endpoint] = self._client.get_flight_info(found, self._options).endpoints
        return self._client.do_get(endpoint.ticket, self._options).read_all()

    def column(self, came: Any) -> Any:
        return came["a"].to_numpy()


class _Json(_Way):
    def __init__(self, server: Server, columns: dict[str, list[Any]]) -> None:
        super().__init__(server, columns)
        self._rendered = evaluate(server, {"script": SCRIPT, "data": {"_arg1": columns}})

    def go(self) -> Any:
        return _right(once(self.server, self._rendered))

    def column(self, came: Any) -> Any:
        return json.loads(came.body)["a"]


def _right(reply: Reply) -> Reply:
    if reply.status != 200:
        raise WrongReply(f"{reply.status} {reply.body[:300]!r}")
    return reply
