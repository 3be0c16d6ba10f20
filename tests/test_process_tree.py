"""Which of the server's processes is which, by a folder that looks like /proc."""

import os
from pathlib import Path

import pytest

from tabpy.tabpy_server import process_tree

ARBITER, WEB, OTHER_WEB, TEMPLATE, WORKER, SHELF, SHARING_WORKER, FLIGHT = range(10, 18)


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, list[int]]:
    """A process's children, by its number; every process of ours is there."""
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    monkeypatch.setattr(os, "getppid", lambda: ARBITER)
    return {}


def tree(children: dict[int, list[int]], flight: int = 0) -> dict[str, list[int]]:
    for pid in {*children, *(child for each in children.values() for child in each)}:
        file = process_tree.PROC / f"{pid}/task/{pid}/children"
        file.parent.mkdir(parents=True)
        file.write_text("".join(f"{child} " for child in children.get(pid, ())))
    return process_tree.processes_by_role(flight)


def test_who_has_children_is_the_template_and_they_are_its_workers(
    children: dict[int, list[int]],
) -> None:
    children |= {ARBITER: [WEB, TEMPLATE, OTHER_WEB], TEMPLATE: [WORKER]}
    assert tree(children) == {
        "arbiter": [ARBITER],
        "web": [WEB, OTHER_WEB],
        "template": [TEMPLATE],
        "worker": [WORKER],
    }


def test_who_forks_in_the_templates_place_counts_with_it(children: dict[int, list[int]]) -> None:
    children |= {
        ARBITER: [WEB, TEMPLATE],
        TEMPLATE: [WORKER, SHELF],
        SHELF: [SHARING_WORKER],
    }
    roles = tree(children)
    assert roles["template"] == [TEMPLATE, SHELF]
    assert roles["worker"] == [WORKER, SHARING_WORKER]


def test_the_flight_process_is_no_web_process(children: dict[int, list[int]]) -> None:
    children |= {ARBITER: [FLIGHT, WEB, TEMPLATE], TEMPLATE: [WORKER]}
    roles = tree(children, FLIGHT)
    assert (roles["flight"], roles["web"]) == ([FLIGHT], [WEB])


def test_where_there_is_no_proc_nothing_is_known(children: dict[int, list[int]]) -> None:
    assert tree(children) == {}
