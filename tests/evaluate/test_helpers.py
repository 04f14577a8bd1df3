"""Threads before and behind the device: order, failures, and that nothing is left behind."""

import threading

import pytest
import torch

from pdsl.evaluate.helpers import LAG, SIDE_BY_SIDE, Helpers, side_by_side


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


@pytest.mark.parametrize(
    ("threads", "images", "together", "each"), [(1, 9, 1, 1), (2, 9, 2, 1), (3, 1, 1, 3), (9, 20, SIDE_BY_SIDE, 2)]
)
def test_images_share_the_threads(threads: int, images: int, together: int, each: int) -> None:
    before, meeting = torch.get_num_threads(), threading.Barrier(together)

    def look() -> int:
        meeting.wait(60)  # breaks unless so many are at it
        return torch.get_num_threads()

    try:
        torch.set_num_threads(threads)
        with side_by_side(images) as lookers:
            assert [future.result() for future in [lookers.submit(look) for _ in range(together)]] == [each] * together
        assert torch.get_num_threads() == threads
        with Helpers() as later:
            assert later.submit(torch.get_num_threads).result() == threads
    finally:
        torch.set_num_threads(before)
