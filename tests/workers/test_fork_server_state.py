"""What the fork server says to all web processes: who answers, and which shelves there are."""

import pytest

from tabpy.tabpy_server.workers.fork_server_state import KEY_SIZE, SHELVES, ForkServerState

KEYS = [bytes([number + 1] * KEY_SIZE).hex() for number in range(SHELVES + 1)]


@pytest.fixture
def state() -> ForkServerState:
    return ForkServerState()


def test_all_that_map_the_state_see_who_answers(state: ForkServerState) -> None:
    other = ForkServerState(state.descriptor)
    assert state.origin == ""
    name = other.new_origin()
    other.set_origin(name)
    assert state.origin == name
    state.reset()
    assert other.origin == ""


def test_they_see_shelves_come_and_go(state: ForkServerState) -> None:
    other = ForkServerState(state.descriptor)
    origins = {key: other.new_origin() for key in KEYS}
    for key in KEYS[:SHELVES]:
        assert state.shelf_origin(key) == ""
        other.add_shelf(key, origins[key])
        assert state.shelf_origin(key) == origins[key]
    other.remove_shelf(KEYS[3])
    other.remove_shelf(KEYS[SHELVES])  # which never was there
    assert state.shelf_origin(KEYS[3]) == ""
    other.add_shelf(KEYS[SHELVES], origins[KEYS[SHELVES]])
    there = {key for key in KEYS if state.shelf_origin(key) == origins[key]}
    assert there == {*KEYS} - {KEYS[3]}
    state.reset()
    assert not any(map(other.shelf_origin, KEYS))


def test_what_is_no_shelf_has_no_origin(state: ForkServerState) -> None:
    state.add_shelf(KEYS[0], state.new_origin())
    assert state.shelf_origin("") == state.shelf_origin(bytes(KEY_SIZE).hex()) == ""
