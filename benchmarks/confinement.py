"""What confinement costs: our server with it against our server without it, in turns."""

from benchmarks.connection import answers
from benchmarks.load import Stream, run
from benchmarks.measure import evaluate, first_right, percentiles
from benchmarks.report import Goal, Row, Sample, alternate
from benchmarks.servers import Kind, Server, running

ROUNDS = 9
SECONDS = 1.0
SCRIPT = {"script": "return [x + 1 for x in _arg1]", "data": {"_arg1": [41.5]}}
ONE_WORKER = {"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "1"}

Cost = tuple[float | None, str]  # and why there is none


def confinement(ours: Kind, _: Kind) -> list[Row]:
    return [
        _row("confinement, a job", "us", _cost(ours, "user", 1e3), Goal(at_most=10)),
        _row("confinement, a worker's start", "ms", _cost(ours, "job", 1.0), Goal(at_most=2)),
    ]


def _row(figure: str, unit: str, cost: Cost, goal: Goal) -> Row:
    value, trouble = cost
    met = goal.met(value, None)
    return Row(figure, unit, value, None, None, str(goal), met, trouble, "", bool(trouble), False)


def _cost(ours: Kind, isolation: str, factor: float) -> Cost:
    """The difference of the medians of one request after the other, in milliseconds times
    `factor`. With a fresh worker for each job (`job`), each waits for a worker's start."""
    common = {**ONE_WORKER, "TABPY_SCRIPT_ISOLATION": isolation}
    with (
        running(ours, {**common, "TABPY_SCRIPT_CONFINEMENT": "required"}) as confined,
        running(ours, {**common, "TABPY_SCRIPT_CONFINEMENT": "off"}) as free,
    ):
        with_it, without = alternate(confined, free, ROUNDS, _p50)
    confined_p50, free_p50 = with_it.median("p50"), without.median("p50")
    if confined_p50 is None or free_p50 is None:
        return None, f"{with_it.trouble} {without.trouble}".strip()
    return (confined_p50 - free_p50) * factor, ""


def _p50(server: Server) -> Sample:
    first_right(server)
    stream = Stream(evaluate(server, SCRIPT), answers(lambda reply: reply == [42.5]), 1)
    run(server.address, [stream], SECONDS)
    return percentiles(stream.latencies)
