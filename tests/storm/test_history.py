"""The storm knows what was deployed: what is lost, or comes from nowhere, is found."""

import pytest

from tests.storm.history import KEPT, History


def listed(*versions: int) -> list[dict[str, object]]:
    return [{"version": each, "sha256": f"sha{each}"} for each in versions]


@pytest.fixture
def history() -> History:
    """Three versions that were acknowledged."""
    made = History()
    for number in (1, 2, 3):
        made.begin(number, f"sha{number}")
        made.acknowledge(number)
    return made


@pytest.mark.parametrize(
    ("versions", "fault"),
    [
        (listed(3, 1), "version 2 is lost"),
        (listed(3, 2), "version 1 is lost"),
        ([{"version": 3, "sha256": "sha3"}, *listed(2), {"version": 1, "sha256": "sha2"}],
         "version 1 is lost"),
        (listed(4, 3, 2, 1), "nobody deployed version 4"),
        ([{"version": 4, "sha256": "sha3"}, *listed(3, 2, 1)],
         "one deployment has made two versions"),
    ],
)  # fmt: skip
def test_a_list_of_versions_that_cannot_be_is_a_fault(
    history: History, versions: list[dict[str, object]], fault: str
) -> None:
    assert fault in history.faults(history.known(), versions)


def test_what_was_deployed_is_no_fault_acknowledged_or_not(history: History) -> None:
    history.begin(4, "sha4")
    assert history.faults(history.known(), listed(3, 2, 1)) == []
    assert history.faults(history.known(), listed(4, 3, 2, 1)) == []


def test_versions_that_are_kept_no_longer_are_not_lost(history: History) -> None:
    history.begin(4, "sha4")
    last = [{"version": KEPT + 2, "sha256": "sha4"}]
    assert history.faults(history.known(), last + listed(3)) == []
    assert history.faults(history.known(), last) == ["version 3 is lost"]


def test_only_what_was_acknowledged_or_may_come_to_be_is_answered(history: History) -> None:
    mark = history.mark()
    assert history.possible(mark) == {3}
    history.begin(4, "sha4")
    assert history.possible(mark) == {3, 4}
    history.settle({})
    assert history.possible(mark) == {3}
    history.begin(5, "sha5")
    history.settle({"sha5": 4})
    assert history.possible(history.mark()) == {3, 5}, "a web process may not know yet"
    history.begin(6, "sha6")
    history.acknowledge(5)
    assert history.possible(mark) == {3, 5, 6}, "the call began before"
    assert history.possible(history.mark()) == {6}
