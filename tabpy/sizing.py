"""How many dynos and workers a load needs: queues, from what one request takes.

A request passes a web process and then a worker. Requests come at random moments, so a place that
is busy most of the time has a line before it. `docs/scaling.md` has the model and its checks.
"""

import math
from dataclasses import dataclass

CALM = 0.7  # of what saturates a place: above, lines grow faster than the load
SERVER_MB = 200  # arbiter, web processes, and the fork server with what all workers share


@dataclass(frozen=True)
class Costs:
    """Seconds of processor time a request, besides the script's own work.

    The defaults are those of `docs/scaling.md`, rounded up; another machine has others, and
    `python -m benchmarks.performance` measures them.
    """

    web: float = 0.001
    worker: float = 0.0003


@dataclass(frozen=True)
class Dyno:
    """A machine: its cores, its memory in MB, web processes, dollars a month, and how many of it
    there can be."""

    name: str
    cores: int
    memory: int
    web_processes: int
    dollars: float
    most: int = 10_000


@dataclass(frozen=True)
class Load:
    """What comes in: `rate` scripts a second, each of `seconds`, of which `busy` (0 to 1) computes
    and the rest waits, as for another server. `variation` is the coefficient of variation of the
    seconds: 0 when all take the same, 1 as random as can be expected."""

    rate: float
    seconds: float
    busy: float = 1.0
    variation: float = 1.0


@dataclass(frozen=True)
class Use:
    """The part of each place that a load takes: 1 is all of it."""

    web_processes: float
    workers: float
    cores: float

    @property
    def first(self) -> tuple[str, float]:
        """The place that saturates first."""
        places = {"web processes": self.web_processes, "workers": self.workers, "cores": self.cores}
        name = max(places, key=lambda each: places[each])
        return name, places[name]


@dataclass(frozen=True)
class Size:
    dynos: int
    workers: int  # of all web processes of a dyno
    use: Use
    wait: float  # mean seconds in line before a worker
    dollars: float


def erlang_c(servers: int, offered: float) -> float:
    """The probability that a request has to wait for one of `servers`.

    `offered` is arrivals a second times seconds of service. 1 when they can't keep up.
    """
    if offered >= servers:
        return 1.0
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mean_wait(servers: int, rate: float, service: float, variation: float = 1.0) -> float:
    """Mean seconds in line: exact for M/M/c, and for M/G/1; for M/G/c Allen and Cunneen's
    approximation. Infinite when the servers can't keep up."""
    offered = rate * service
    if offered >= servers:
        return math.inf
    waiting = erlang_c(servers, offered) * service / (servers - offered)
    return waiting * (1 + variation**2) / 2


def closed_rate(clients: int, demands: dict[str, tuple[int, float]], think: float = 0.0) -> float:
    """Requests a second of `clients` that each send the next one when the reply has come.

    `demands`: for each place, how many servers it has and the seconds of one a request takes.
    Mean value analysis, a place of several servers as a faster one and a delay (Seidmann).
    """
    queues = {place: seconds / servers for place, (servers, seconds) in demands.items()}
    delay = think + sum(seconds * (servers - 1) / servers for servers, seconds in demands.values())
    lengths = dict.fromkeys(queues, 0.0)
    rate = 0.0
    for number in range(1, clients + 1):
        times = {place: seconds * (1 + lengths[place]) for place, seconds in queues.items()}
        rate = number / (delay + sum(times.values()))
        lengths = {place: rate * seconds for place, seconds in times.items()}
    return rate


def use(load: Load, dyno: Dyno, workers: int, dynos: int, costs: Costs) -> Use:
    """The part of each place of every dyno, when the router spreads the load evenly."""
    rate = load.rate / dynos
    computing = costs.web + costs.worker + load.seconds * load.busy
    return Use(
        rate * costs.web / dyno.web_processes,
        rate * (costs.worker + load.seconds) / workers,
        rate * computing / dyno.cores,
    )


def size(load: Load, dyno: Dyno, wait: float, costs: Costs, worker_mb: float) -> Size:
    """The fewest dynos that keep every place calm and the mean wait for a worker at most `wait`,
    each with as few workers as that needs.

    Raises ValueError when the dyno's memory has no room for a worker of each web process beside
    the server, or when there can't be so many of them.
    """
    room = int((dyno.memory - SERVER_MB) / worker_mb / dyno.web_processes)
    if room < 1:
        raise ValueError(f"{dyno.memory} MB: no room for {dyno.web_processes} such workers")
    dynos = 1
    while dynos <= dyno.most:
        for each in range(1, room + 1):
            workers = each * dyno.web_processes
            used = use(load, dyno, workers, dynos, costs)
            # A web process has workers of its own, so each has a line of its own.
            rate = load.rate / dynos / dyno.web_processes
            waited = mean_wait(each, rate, costs.worker + load.seconds, load.variation)
            if used.first[1] <= CALM and waited <= wait:
                return Size(dynos, workers, used, waited, dynos * dyno.dollars)
        dynos += 1
    raise ValueError(f"{dyno.most} of them are too few, and there can't be more")
