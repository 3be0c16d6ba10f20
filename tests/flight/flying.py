"""A server with Arrow Flight, and its users as Prep is one."""

import json
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from pyarrow import flight

from tests.running import PASSWORD, USER, Reply, Server, basic, free_port, until

OTHER, OTHERS_PASSWORD = "anna", "not a real one, either"
BOTH = {USER: PASSWORD, OTHER: OTHERS_PASSWORD}

DOUBLE = "_arg1['n'] *= 2\nreturn _arg1"

Table = Any  # pyarrow has no types


class FlightServer(Server):
    """`tabpy` with TABPY_ARROW_ENABLE."""

    def __init__(self, folder: Path, settings: dict[str, str], **options: Any) -> None:
        self.flight_port = free_port()
        given = {
            "TABPY_ARROW_ENABLE": "true",
            "TABPY_ARROWFLIGHT_PORT": str(self.flight_port),
            "TABPY_WORKERS": "2",
            **settings,
        }
        super().__init__(folder, given, **{"users": BOTH, **options})

    def flight_process(self) -> psutil.Process:
        found: psutil.Process = until(
            lambda: next(
                (each for each in self.psutil.children() if each.name() == "tabpy-flight"), None
            ),
            "a flight process is there",
        )
        return found

    def web_processes(self) -> list[psutil.Process]:
        return [each for each in super().web_processes() if each.name() != "tabpy-flight"]

    def connect_flight(self, **options: Any) -> Any:
        scheme = "grpc+tls" if options else "grpc"
        return flight.connect(f"{scheme}://localhost:{self.flight_port}", **options)

    def user(self, name: str = USER, **options: Any) -> "User":
        return User(self, name, self.connect_flight(**options))


class User:
    """Somebody who has signed in to Flight by a password, or with `headers`."""

    def __init__(
        self,
        server: Server,
        name: str,
        client: Any,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        self.server, self.name, self.client = server, name, client
        if headers is None:
            self.bearer = client.authenticate_basic_token(name, BOTH[name])
            headers = [self.bearer]
        self.options = flight.FlightCallOptions(headers=headers, timeout=30)

    def act(self, action: str, body: bytes = b"") -> list[bytes]:
        results = self.client.do_action(flight.Action(action, body), self.options)
        return [each.body.to_pybytes() for each in results]

    def actions(self) -> list[str]:
        return [each.type for each in self.client.list_actions(self.options)]

    def put(self, path: str | bytes, table: Table) -> None:
        self.put_at(flight.FlightDescriptor.for_path(path), table)

    def put_at(self, descriptor: Any, table: Table) -> None:
        writer, _ = self.client.do_put(descriptor, table.schema, self.options)
        with writer:
            writer.write_table(table, max_chunksize=1 << 16)

    def paths(self) -> list[str]:
        found = self.client.list_flights(b"", self.options)
        return [b"/".join(each.descriptor.path).decode() for each in found]

    def info(self, path: str | bytes) -> Any:
        return self.client.get_flight_info(flight.FlightDescriptor.for_path(path), self.options)

    def get(self, path: str | bytes) -> Table:
        [endpoint] = self.info(path).endpoints
        return self.redeem(endpoint.ticket)

    def redeem(self, ticket: Any) -> Table:
        return self.client.do_get(ticket, self.options).read_all()

    def evaluate(self, script: str, path: str, **options: Any) -> Reply:
        body = json.dumps({"script": script, "dataPath": path})
        headers = {"Authorization": basic(self.name, BOTH[self.name])}
        return self.server.request(
            "POST", "/evaluate", body, **{"user": None, "headers": headers, **options}
        )

    def flow(self, script: str, table: Table) -> Table:
        """What Prep does for a script step."""
        [path] = self.act("getUniquePath")
        self.put(path, table)
        reply = self.evaluate(script, path.decode())
        assert reply.status == 200, reply.body
        return self.get(reply.json["outputDataPath"])


def table(**columns: Any) -> Table:
    return pa.table(columns)
