"""The heap of numbers by changing keys, against sorting."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.regions.heap import heap_of, rise, sink, take_first

KEYS = st.lists(st.integers(0, 5).map(float), max_size=30)


@given(KEYS)
@settings(deadline=None)
def test_numbers_come_by_key_and_ties_by_number(keys: list[float]) -> None:
    key = np.array(keys, np.float64)
    heap, place = heap_of(key)
    taken = [take_first(heap, place, key, left) for left in range(len(key), 0, -1)]
    assert taken == list(np.argsort(key, kind="stable"))


@given(KEYS.filter(bool), st.data())
@settings(deadline=None)
def test_keys_may_change_in_between(keys: list[float], data: st.DataObject) -> None:
    key = np.array(keys, np.float64)
    heap, place = heap_of(key)
    waiting = set(range(len(key)))
    while waiting:
        changed = data.draw(st.sampled_from(sorted(waiting)))
        key[changed] = data.draw(st.integers(0, 5))
        rise(heap, place, key, place[changed])
        sink(heap, place, key, place[changed], len(waiting))
        assert (place[heap] == np.arange(len(key))).all()
        first = take_first(heap, place, key, len(waiting))
        assert first == min(waiting, key=lambda number: (key[number], number))
        waiting.remove(first)
