"""The queueing model keeps to what is known in closed form, and the documents to the model."""

import math
import re
from pathlib import Path

import pytest

from tabpy.commands import size as command
from tabpy.sizing import CALM, Costs, Dyno, Load, closed_rate, erlang_c, mean_wait, size, use

SCALING = Path(__file__).parents[1] / "docs" / "scaling.md"


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_one_server_is_m_m_1(load: float) -> None:
    assert erlang_c(1, load) == pytest.approx(load)
    assert mean_wait(1, load, 1.0) == pytest.approx(load / (1 - load))


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_two_servers_are_m_m_2(load: float) -> None:
    """With c = 2 Erlang's formula is 2 r² / (1 + r), r being the load of each."""
    assert erlang_c(2, 2 * load) == pytest.approx(2 * load**2 / (1 + load))


def test_many_servers_are_erlangs_sum() -> None:
    offered, servers = 7.5, 10
    terms = [offered**number / math.factorial(number) for number in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    assert erlang_c(servers, offered) == pytest.approx(last / (sum(terms) + last))


def test_equal_service_times_halve_the_wait() -> None:
    """M/D/1, by Pollaczek and Khinchin."""
    assert mean_wait(1, 0.8, 1.0, variation=0.0) == pytest.approx(0.8 / (1 - 0.8) / 2)


def test_a_place_that_cannot_keep_up_has_an_endless_line() -> None:
    assert mean_wait(2, 2.0, 1.0) == math.inf
    assert erlang_c(2, 2.5) == 1.0


def test_clients_in_a_circle_of_one_server() -> None:
    """The machine repair model of one client never waits; of many, the server never rests."""
    assert closed_rate(1, {"a": (1, 0.2), "b": (1, 0.3)}) == pytest.approx(2.0)
    assert closed_rate(200, {"a": (1, 0.2), "b": (1, 0.3)}) == pytest.approx(1 / 0.3, rel=0.01)
    assert closed_rate(200, {"a": (4, 0.2)}) == pytest.approx(4 / 0.2, rel=0.01)


def test_balanced_places_have_their_closed_form() -> None:
    """N clients and K places of one demand each: N / (D (N + K - 1))."""
    assert closed_rate(5, {"a": (1, 0.1), "b": (1, 0.1)}) == pytest.approx(5 / (0.1 * 6))


def test_the_fullest_place_is_named() -> None:
    costs, dyno = Costs(web=0.01, worker=0.01), Dyno("d", 4, 4096, 2, 50)
    waits = use(Load(rate=10, seconds=1.0, busy=0.0), dyno, 12, 1, costs)
    assert waits.first[0] == "workers"
    assert waits.first[1] == pytest.approx(10 * 1.01 / 12)
    small = use(Load(rate=100, seconds=0.0), dyno, 12, 1, costs)
    assert small.first[0] == "web processes"
    assert small.first[1] == pytest.approx(0.5)
    computes = use(Load(rate=3, seconds=1.0), dyno, 12, 1, costs)
    assert computes.first[0] == "cores"


def test_one_dyno_less_would_not_do() -> None:
    load, dyno, costs = Load(rate=20, seconds=0.3), Dyno("d", 2, 2560, 4, 250), Costs()
    found = size(load, dyno, 0.5, costs, 40)
    assert found.use.first[1] <= CALM
    assert found.wait <= 0.5
    assert found.dollars == found.dynos * 250
    fewer = use(load, dyno, 1000, found.dynos - 1, costs)
    assert fewer.first[1] > CALM


def test_a_dyno_too_small_for_its_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="512 MB: no room for 2 such workers"):
        size(Load(1, 0.1), Dyno("d", 1, 512, 2, 7), 0.5, Costs(), worker_mb=400)


def test_a_dyno_of_which_there_can_be_one_only() -> None:
    with pytest.raises(ValueError, match="1 of them are too few"):
        size(Load(50, 1.0), Dyno("d", 1, 512, 2, 7, most=1), 0.5, Costs(), 40)


def test_the_command_prints_a_line_for_each_dyno(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--viewers", "50", "--seconds", "0.3"]) == 0
    told, _, *lines = capsys.readouterr().out.splitlines()
    assert told == "5 scripts a second, 0.3 s each"
    assert [line.split()[0] for line in lines] == list(command.DYNOS)


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf", "many"])
def test_the_command_refuses_what_is_no_amount(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main([f"--viewers={wrong}", "--seconds=1"])
    assert "--viewers" in capsys.readouterr().err


def test_the_documents_table_is_what_the_command_says() -> None:
    row = r"\| (\d+) \| ([\d.]+) \| ([a-z0-9-]+) \| (\d+) \| (\d+) \| (\d+) \|"
    rows = re.findall(row, SCALING.read_text(encoding="utf-8"))
    assert len(rows) == 9
    for viewers, seconds, name, *numbers in rows:
        load = Load(float(viewers) * 2 / 60 * 3, float(seconds))
        found = size(load, command.DYNOS[name], 0.5, Costs(), 40)
        assert [found.dynos, found.workers, found.dollars] == [int(each) for each in numbers]
