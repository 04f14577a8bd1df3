"""Threads before and behind the device: order, failures, and that nothing is left behind."""

import threading

import pytest

from pdsl.evaluate.helpers import LAG, Helpers


def test_what_is_worked_ahead_comes_in_order() -> None:
    with Helpers() as helpers:
        found = list(helpers.ahead(lambda item: item * item, range(10)))
    assert found == [(item, item * item) for item in range(10)]


def test_no_more_than_a_few_are_in_flight() -> None:
    items = iter(range(100))
    with Helpers() as helpers:
        first = next(helpers.ahead(lambda item: item, items))
    assert first == (0, 0) and next(items) == LAG + 1


def test_a_failure_arrives_where_its_result_is_asked_for() -> None:
    with pytest.raises(ZeroDivisionError), Helpers() as helpers:
        for item, _ in helpers.ahead(lambda item: 1 // (3 - item), range(9)):
            assert item < 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pdsl-evaluate")]
