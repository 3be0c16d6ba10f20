"""The figures about deployed functions; TabPy's own published client deploys to both servers."""

import json
import statistics
import subprocess
from pathlib import Path

from benchmarks.connection import WrongReply, answers, request
from benchmarks.measure import evaluate, first_right, hammer, once, pair
from benchmarks.report import Row, Sample, Unmeasured, alternate, row
from benchmarks.servers import USER, Kind, Server

CLIENT = Path(__file__).with_name("deploy.py")
NAME = "benchmark_add"
DEPLOYS = 5
ROUNDS = 3
COLUMNS = {"_arg1": [1.5, 2.5], "_arg2": [10, 20]}
SUM = [11.5, 22.5]


def deploy(ours: Kind, peer: Kind) -> list[Row]:
    def measure(server: Server) -> Sample:
        return {"seconds": statistics.median(deployed(server, peer.commands, DEPLOYS))}

    with pair(ours, peer) as servers:
        sides = alternate(*servers, ROUNDS, measure)
    return [row("deploy of a function", "s", sides, "seconds")]


def query(ours: Kind, peer: Kind) -> list[Row]:
    """`POST /query/<name>`, as MODEL_EXTENSION_* sends it."""
    right = answers(lambda reply: isinstance(reply, dict) and reply["response"] == SUM)
    payload = {"data": {"x": COLUMNS["_arg1"], "y": COLUMNS["_arg2"]}}

    def measure(server: Server) -> Sample:
        deployed(server, peer.commands, 1)
        rendered = request("POST", f"/query/{NAME}", server.authorization, payload)
        return hammer(server, rendered, right)

    with pair(ours, peer) as servers:
        sides = alternate(*servers, ROUNDS, measure)
    return [
        row("/query/<name>", "/s", sides, "rate"),
        row("/query/<name>, p99", "ms", sides, "p99"),
    ]


def evaluate_query(ours: Kind, peer: Kind) -> list[Row]:
    """A script that calls the deployed function, as SCRIPT_* does it."""
    right = answers(lambda reply: reply == SUM)
    script = f"return tabpy.query('{NAME}', _arg1, _arg2)['response']"

    def measure(server: Server) -> Sample:
        deployed(server, peer.commands, 1)
        return hammer(server, evaluate(server, {"script": script, "data": COLUMNS}), right)

    with pair(ours, peer) as servers:
        sides = alternate(*servers, ROUNDS, measure)
    return [
        row("/evaluate with tabpy.query", "/s", sides, "rate"),
        row("/evaluate with tabpy.query, p99", "ms", sides, "p99"),
    ]


def deployed(server: Server, commands: Path, times: int) -> list[float]:
    """Deploy so many times in a row; the seconds each took."""
    first_right(server)
    if once(server, request("GET", "/endpoints", server.authorization)).status == 404:
        raise Unmeasured("not supported")
    order = {
        "url": server.url,
        "user": USER,
        "password": server.kind.password,
        "name": NAME,
        "times": times,
    }
    told = subprocess.run(
        [commands / "python", "-I", CLIENT],  # isolated: `tabpy` is the peer's, not this checkout
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if told.returncode:
        raise WrongReply(f"the deploy failed: {told.stderr.strip()[-300:]}")
    taken: list[float] = json.loads(told.stdout)
    return taken
