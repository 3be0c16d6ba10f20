"""The web process: its connection to the Ray cluster, which may not be there, or go and come back.

Connecting blocks, for seconds where nobody answers, and so do other calls that go to the head node:
they run on threads. Calling an actor doesn't.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tabpy.tabpy_server.workers.ray import probe

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

THREADS = 8  # some of them may hang
LOOK_SECONDS = 2.0  # between looks at whether the cluster answers
CONNECT_SECONDS = 5.0  # for the head node to take a connection
ANSWER_SECONDS = 10.0  # after which it doesn't
NOT_YET = "The server is connecting to the Ray cluster."


class Cluster:
    """Connects, and connects again. `problem`: why no worker can be had, "" if one can."""

    def __init__(self, address: str, server_version: str) -> None:
        self._address = address
        self._version = server_version
        self._threads = ThreadPoolExecutor(THREADS, "ray")
        self._nodes: dict[str, str] = {}  # what is wrong with each that is known, "" for nothing
        self.problem = NOT_YET

    async def call(self, function: Callable[..., Result], *args: Any) -> Result:
        """Run what may block."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def keep(self, on_change: Callable[[], None]) -> None:
        """Stay connected; never ends. `on_change` is called when the problem is another one."""
        while True:
            before = self.problem
            self.problem = await self._look()
            if self.problem != before:
                level = logging.ERROR if self.problem else logging.INFO
                logger.log(level, self.problem or "The Ray cluster is there.")
                on_change()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> str:
        try:
            if self.problem:
                await self.call(self._connect)
            async with asyncio.timeout(ANSWER_SECONDS):
                alive = await self.call(_alive)
            return await self.call(self._meet, alive)
        except TimeoutError:
            return "The Ray cluster doesn't answer: is its head node there?"
        except Exception as error:  # noqa: BLE001 - Ray raises of everything
            return _in_words(error, self._address)

    def _connect(self) -> None:
        import ray

        if not ray.is_initialized():
            host, _, port = self._address.rpartition(":")
            # Ray itself would try for a long time, and not say what is wrong.
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
            ray.init(
                address=self._address,
                namespace="tabpy",
                log_to_driver=False,
                logging_level=logging.ERROR,
            )

    def _meet(self, alive: Mapping[str, str]) -> str:
        """Ask the nodes that are new what they have; return why none of all can run scripts, ""
        if one can. `alive`: their names by their ids."""
        for node in self._nodes.keys() - alive.keys():
            logger.warning("A node of the Ray cluster is gone: %s", node)
            del self._nodes[node]
        asked = {each: probe.ask(each) for each in alive if each not in self._nodes}
        for node, answer in asked.items():
            try:
                self._nodes[node] = self._judge(node, alive[node], probe.answer(answer))
            except Exception as error:  # noqa: BLE001 - it has just died, or hangs: ask again
                logger.warning("Ray node %s doesn't say what it has: %s", alive[node], error)
        if all(self._nodes.values()):
            problems = "; ".join(sorted({each for each in self._nodes.values() if each}))
            return f"No node of the Ray cluster can run scripts: {problems or 'none answers'}."
        return ""

    def _judge(self, node: str, name: str, found: probe.Found) -> str:
        for each in probe.differences(probe.have(), found):
            logger.warning("Ray node %s (%s): %s", name, node[:8], each)
        problem = probe.problem(found, self._version)
        if problem:
            logger.error("Ray node %s (%s) can't run scripts: %s", name, node[:8], problem)
            return f"{name}: {problem}"
        logger.info("Ray node %s (%s): Python %s", name, node[:8], found.python)
        return ""


def _alive() -> dict[str, str]:
    import ray

    return {each["NodeID"]: each["NodeName"] for each in ray.nodes() if each["Alive"]}


def _in_words(error: Exception, address: str) -> str:
    first = str(error).strip().partition("\n")[0][:300]
    return f"The Ray cluster at {address} can't be reached ({type(error).__name__}: {first})."


def no_telemetry() -> None:
    """Have Ray send nothing about this server to its makers; before it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
