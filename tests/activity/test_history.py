"""What a web process remembers, and for how long."""

import json
import random

from tabpy.tabpy_server.activity.board import HALF
from tabpy.tabpy_server.activity.durations import length_of
from tabpy.tabpy_server.activity.history import (
    KINDS,
    LATEST,
    MINUTES,
    OTHERS,
    REFUSED,
    History,
    Sample,
)
from tabpy.tabpy_server.json_codec import dumps, loads
from tests.activity.making import NOON, history, request


def test_requests_are_counted_by_the_minute() -> None:
    noted = history(request(NOON), request(NOON + 59.9), request(NOON + 60))
    assert [each.requests for each in noted.minutes.values()] == [2, 1]


def test_errors_are_counted_by_their_kind() -> None:
    noted = history(
        request(error="KeyError"), request(error="KeyError"), request(), request(error="X")
    )
    [minute] = noted.minutes.values()
    assert minute.errors == {"KeyError": 2, "X": 1}


def test_of_many_kinds_of_errors_the_later_ones_are_counted_together() -> None:
    noted = history(*(request(error=f"E{number}") for number in range(KINDS + 5)))
    [minute] = noted.minutes.values()
    assert len(minute.errors) == KINDS + 1
    assert minute.errors[OTHERS] == 5
    noted.note(request(error="E0"), signed_in=True)
    assert minute.errors["E0"] == 2


def test_what_never_ran_only_waited() -> None:
    noted = history(request(queued_ms=500.0, run_ms=0.0), request(queued_ms=0.0, run_ms=0.0))
    [minute] = noted.minutes.values()
    assert (minute.queued.total(), minute.run.total()) == (1, 0)


def test_what_ran_at_once_counts_as_one_that_waited_for_nothing() -> None:
    [minute] = history(request(queued_ms=0.0, run_ms=10.0)).minutes.values()
    assert minute.queued == {length_of(0.0): 1}


def test_the_latest_requests_are_kept_and_no_others() -> None:
    noted = history(*(request(NOON + number) for number in range(LATEST + 10)))
    assert [each.at for each in noted.latest] == [NOON + 10 + number for number in range(LATEST)]


def test_who_never_signs_in_pushes_no_request_of_others_out() -> None:
    noted = history(request(id="of others"))
    for number in range(LATEST + 10):
        noted.note(request(NOON + number, error="WrongCredentialsError"), signed_in=False)
    assert noted.minutes[int(NOON // 60)].errors["WrongCredentialsError"] == 60
    assert [each.id for each in noted.latest] == ["of others"]
    assert [each.at for each in noted.refused] == [
        NOON + LATEST + 10 - REFUSED + number for number in range(REFUSED)
    ]


def test_an_hour_is_remembered() -> None:
    noted = history(*(request(NOON + 60 * number) for number in range(3 * MINUTES)))
    assert len(noted.minutes) <= MINUTES + 1


def test_a_clock_that_was_put_back_leaves_nothing_in_the_future() -> None:
    noted = history(request(NOON + 86_400), request(NOON))
    assert [*noted.minutes] == [NOON // 60]


def test_samples_have_the_most_memory_and_the_last_state() -> None:
    noted = History()
    for busy, memory in ((2, 50), (0, 80), (1, 60)):
        noted.take_sample(NOON + busy, Sample(busy, 5, 4, memory))
    [minute] = noted.minutes.values()
    assert (minute.samples, minute.busy, minute.memory) == (3, 3, 80)
    assert (noted.sample, noted.sampled_at) == (Sample(1, 5, 4, 60), NOON + 1)


def test_it_is_read_as_it_was_written() -> None:
    noted = history(request(queued_ms=7.0), request(error="KeyError", line=3, function="f"))
    noted.note(request(user=None, status=401), signed_in=False)
    noted.take_sample(NOON, Sample(1, 2, 3, 4))
    again = History.read(loads(dumps(noted.written())))
    assert again.written() == noted.written()
    again.note(request(), signed_in=True)
    assert again.minutes[int(NOON // 60)].requests == 4


def test_what_happens_after_it_was_written_is_written_the_next_time() -> None:
    noted = history(request())
    noted.written()
    noted.note(request(), signed_in=True)
    [(_, minute)] = noted.written()["minutes"]
    assert minute["requests"] == 2
    noted.take_sample(NOON, Sample(1, 2, 3, 4))
    [(_, minute)] = noted.written()["minutes"]
    assert minute["samples"] == 1


def test_however_much_happens_it_fits_its_place() -> None:
    chance = random.Random(1)
    noted = History()
    for minute in range(MINUTES + 1):
        for number in range(300):
            noted.note(
                request(
                    NOON + 60 * minute,
                    error=f"{number}" * 200,
                    queued_ms=10 ** chance.uniform(-1, 7),
                    run_ms=10 ** chance.uniform(-1, 7),
                    route="/query/" + "é" * 500,
                    user="🔑" * 500,
                    id="i" * 500,
                    function="\N{MATHEMATICAL DOUBLE-STRUCK SMALL F}" * 80,
                ),
                signed_in=bool(number % 2),
            )
        noted.take_sample(NOON + 60 * minute, Sample(1, 2, 3, 4))
    assert len(dumps(noted.written())) < HALF / 1.2
    assert json.dumps(noted.written()).count("é") == 0
