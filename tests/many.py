"""Several servers on one database, which come and go, and clients that deploy through a proxy."""

import hashlib
import http.client
import itertools
import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import cloudpickle

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.deploying import deploy, redeploy
from tests.proxy import Behind, shared
from tests.running import Reply, Server, free_port, until

NO_ANSWER = (OSError, http.client.HTTPException)
GONE = (502, 503, 504)  # a server that stops, or a proxy in front of one that has gone
LOST_CHECK = "It ended its process."  # of an archive that was looked at when it was killed
KEPT = 999  # versions, the most that TABPY_KEEP_VERSIONS takes


class Dynos:
    """Servers that have nothing in common but a database; each start is on an empty disk."""

    def __init__(self, folder: Path, database_url: str, settings: Mapping[str, str]) -> None:
        self.database_url = database_url
        self.servers: list[Server] = []
        self._folder = folder
        self._settings = settings
        self._starts = itertools.count()
        self._proxy: Behind | None = None
        (folder / "notes").mkdir()

    def start(self, index: int) -> Server:
        """Start one, in the place and at the port of the last one of that number."""
        folder = self._folder / f"dyno{next(self._starts)}"
        folder.mkdir()
        port = self.servers[index].port if index < len(self.servers) else free_port()
        settings = {
            **shared(self._folder / "notes", self.database_url),
            "TABPY_KEEP_VERSIONS": str(KEPT),
            **self._settings,
            "TABPY_PORT": str(port),
        }
        server = Server(folder, settings)
        server.port = port
        self.servers[index : index + 1] = [server]
        return server.wait_until_ready()

    def behind(self, program: str) -> Behind:
        """Have a proxy ask them."""
        self._proxy = Behind(self._folder, self.servers, program)
        self._proxy.wait_until_ready()
        return self._proxy

    def run_and_kill(self, deployments: "Deployments", kills: int, chances: random.Random) -> None:
        """Kill so many servers, each at once with all its processes, while clients deploy."""
        deployments.start()
        pace = deployments.wanted // (kills + 1)
        for number in range(1, kills + 1):
            due = number * pace
            until(
                lambda: deployments.acknowledged >= due or deployments.wrong,  # noqa: B023
                f"{due} deployments",
                deployments.patience,
            )
            index = chances.randrange(len(self.servers))
            self.servers[index].crash()
            self.start(index)
        deployments.wait()

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.kill()
        for each in self.servers:
            each.kill()


class Deployments:
    """Clients that deploy versions of one function at the same time, each until it has been told of
    `each` of its own."""

    name = "deployed by all"
    patience = 120.0  # seconds, for a slow machine

    def __init__(self, server: Server, clients: int, each: int) -> None:
        self._server = server
        self._each = each
        self._lock = threading.Lock()
        self._sent: dict[str, int] = {}  # what the function answers, by its archive's SHA-256
        self._told: dict[int, str] = {}  # SHA-256 by version
        self._threads = [threading.Thread(target=self._deploy, args=(n,)) for n in range(clients)]
        self.wanted = clients * each
        self.refused = 0
        self.wrong: list[str] = []

    @property
    def acknowledged(self) -> int:
        return len(self._told)

    def start(self) -> None:
        """Create the function, then deploy."""
        sha256, archive = self._archive(-1)
        reply = deploy(self._server, self.name, archive)
        assert reply.status == 201, reply.body
        self._first = sha256
        for each in self._threads:
            each.start()

    def wait(self) -> None:
        for each in self._threads:
            each.join(self.patience)
            assert not each.is_alive(), "a client isn't done"

    def _deploy(self, client: int) -> None:
        for number in itertools.count(client * 10_000):
            sha256, archive = self._archive(number)
            reply = self._answered(lambda: redeploy(self._server, self.name, archive))  # noqa: B023
            if reply is None:
                self.refused += 1
                continue
            if reply.status != 200:
                self.wrong.append(f"{reply.status} {reply.body!r:.300}")
                return
            with self._lock:
                self._told[reply.json[self.name]["version"]] = sha256
            if sum(1 for each in self._told.values() if self._is_of(client, each)) >= self._each:
                return

    def _is_of(self, client: int, sha256: str) -> bool:
        return self._sent[sha256] // 10_000 == client

    def _archive(self, number: int) -> tuple[str, bytes]:
        def answer() -> int:
            return number

        archive: bytes = cloudpickle.dumps(CustomQueryObject(answer))
        sha256 = hashlib.sha256(archive).hexdigest()
        self._sent[sha256] = number
        return sha256, archive

    def _answered(self, send: Callable[[], Reply]) -> Reply | None:
        """The reply; None where a server was gone, or is."""
        try:
            reply = send()
        except NO_ANSWER:
            return None
        if reply.status in GONE or (reply.status == 400 and LOST_CHECK in reply.error[2]):
            return None
        return reply

    def _listed(self) -> dict[int, str]:
        path = f"/endpoints/{self.name.replace(' ', '%20')}/versions"
        listed = self._server.request("GET", path).json["versions"]
        return {each["version"]: each["sha256"] for each in listed}

    def last(self) -> int:
        """What the function has to answer now."""
        listed = self._listed()
        return self._sent[listed[max(listed)]]

    def faults(self) -> list[str]:
        """What is wrong with the versions that there are, by what the clients were told."""
        listed = self._listed()
        lost = [each for each in sorted(self._told.items()) if listed.get(each[0]) != each[1]]
        return [
            *self.wrong,
            *(f"version {version} is lost" for version, _ in lost),
            *(f"nobody sent version {each}" for each in listed if listed[each] not in self._sent),
            *(
                f"there is no version {each}"
                for each in range(1, max(listed))
                if each not in listed
            ),
        ]
