"""Processor time is counted for the kind of process that spent it."""

from benchmarks.cpu import ARBITER, FORK_SERVER, WEB, WORKER, between, kinds_of


def test_a_server_with_a_fork_server_has_four_kinds() -> None:
    parents = {10: 1, 11: 10, 12: 10, 13: 10, 14: 13}
    kinds = kinds_of(parents, forking={13, 14})
    assert kinds == {10: ARBITER, 11: WEB, 12: WEB, 13: FORK_SERVER, 14: WORKER}


def test_a_server_without_one_is_web_processes_only() -> None:
    assert kinds_of({10: 1, 11: 10}, forking=set()) == {10: WEB, 11: WEB}


def test_time_counts_from_one_look_to_the_next() -> None:
    before = {10: (WEB, 1.0), 11: (WORKER, 5.0)}
    after = {10: (WEB, 1.5), 12: (WORKER, 0.25), 13: (WORKER, 0.5)}  # 11 ended, 12 and 13 began
    assert between(before, after) == {WEB: 0.5, WORKER: 0.75}
