"""Results are kept for their time, in their room, and never in the place of each other."""

from hypothesis import given
from hypothesis import strategies as st

from tabpy.tabpy_server.functions import result_cache
from tabpy.tabpy_server.functions.result_cache import OVERHEAD, SHARE, Result, ResultCache

SIZE = OVERHEAD + 4  # of an entry of this module: a key of one byte, a body of two, a tag of one


def result(number: int = 0) -> Result:
    return Result(b"%02d" % number, "t")


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_result_is_found_by_its_key_and_has_an_age() -> None:
    clock = Clock()
    cache = ResultCache(100 * SIZE, 60.0, clock)
    assert cache.put(b"a", result(1))
    clock.time = 20.0
    assert cache.get(b"a") == (result(1), 20.0, 40.0)
    assert cache.get(b"b") is None


def test_a_result_goes_when_its_time_is_over_however_often_it_was_used() -> None:
    clock = Clock()
    cache = ResultCache(100 * SIZE, 60.0, clock)
    cache.put(b"a", result())
    clock.time = 59.9
    assert cache.get(b"a") is not None
    clock.time = 60.0
    assert cache.get(b"a") is None
    assert cache.size == 0


def test_old_ones_are_dropped_without_being_asked_for_some_at_a_time() -> None:
    clock = Clock()
    cache = ResultCache(5_000 * SIZE, 60.0, clock)
    for number in range(result_cache.STEPS + 5):
        cache.put(b"%d" % number, result())
    clock.time = 30.0
    cache.put(b"young", result())
    clock.time = 60.0
    cache.drop_old()
    assert len(cache) == 6
    cache.drop_old()
    assert len(cache) == 1
    assert cache.get(b"young") is not None


def test_the_least_lately_used_goes_where_there_is_no_room() -> None:
    cache = ResultCache(SHARE * SIZE, 60.0)
    for number in range(SHARE):
        cache.put(b"%d" % number, result(number))
    cache.get(b"0")
    cache.put(b"x", result())
    there = [each for each in (b"0", b"1", b"2", b"x") if cache.get(each) is not None]
    assert there == [b"0", b"2", b"x"]
    assert cache.size == SHARE * SIZE


def test_one_that_would_take_too_much_is_not_kept() -> None:
    cache = ResultCache(SHARE * SIZE, 60.0)
    cache.put(b"a", result())
    assert not cache.put(b"b", Result(b"123", "t"))
    assert not ResultCache(0, 60.0).put(b"a", result())
    assert cache.size == SIZE


def test_a_result_takes_the_place_of_the_one_before() -> None:
    clock = Clock()
    cache = ResultCache(100 * SIZE, 60.0, clock)
    cache.put(b"a", result(1))
    clock.time = 30.0
    cache.put(b"a", result(2))
    assert cache.get(b"a") == (result(2), 0.0, 60.0)
    assert cache.size == SIZE


def test_nothing_is_left_of_what_is_cleared() -> None:
    cache = ResultCache(100 * SIZE, 60.0)
    cache.put(b"a", result())
    cache.clear()
    assert (cache.get(b"a"), cache.size, len(cache)) == (None, 0, 0)


KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 2 * SIZE)),
        st.tuples(st.just("get"), KEYS, st.just(0)),
        st.tuples(st.just("wait"), st.just(b""), st.integers(1, 40)),
        st.tuples(st.just("drop"), st.just(b""), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 3))
def test_whatever_happens_it_has_the_last_result_or_none_and_keeps_to_its_room(
    steps: list[tuple[str, bytes, int]], entries: int
) -> None:
    clock = Clock()
    cache = ResultCache(entries * SHARE * SIZE, 60.0, clock)
    last: dict[bytes, tuple[Result, float]] = {}
    for number, (step, key, amount) in enumerate(steps):
        if step == "put":
            made = Result(b"%d" % number + bytes(amount), "t")
            if cache.put(key, made):
                last[key] = made, clock.time
        elif step == "get":
            found = cache.get(key)
            if found is not None:
                kept, at = last[key]
                assert (found.result, found.age) == (kept, clock.time - at)
                assert found.age < 60.0
        elif step == "wait":
            clock.time += amount
        else:
            cache.drop_old()
        assert 0 <= cache.size <= cache.room
        assert (cache.size == 0) == (len(cache) == 0)
