"""Which object an instance mask belongs to."""

import numpy as np
import pytest

from data.mask_owners import owners
from data.truth import TruthObject

A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)
THIN = (0, 0, 3, 3)  # of A, IoU .09


def listed(*items: tuple[int, tuple[int, ...]]) -> list[TruthObject]:
    return [TruthObject(class_id, np.array(box, np.float32)) for class_id, box in items]


@pytest.mark.parametrize(
    ("objects", "masks", "numbers", "expected"),
    [
        ([(0, A), (0, B)], [(0, A), (0, B)], [1, 2], [0, 1]),
        ([(0, A), (0, B)], [(0, THIN), (0, B)], [1, 2], [0, 1]),  # occluded: IoU says nothing, the number does
        ([(0, A), (0, A)], [(0, A), (0, A)], [1, 2], [0, 1]),
        ([(0, A), (0, B), (0, C)], [(0, B), (0, C)], [1, 2], [1, 2]),  # the k-th object that has one
        ([(0, A), (0, B), (0, C)], [(0, A), (0, C)], [1, 3], [0, 2]),
        ([(0, A), (0, A), (0, A)], [(0, A), (0, A)], [1, 3], [0, 2]),  # only the numbers say
        ([(0, A), (1, B)], [(1, B), (0, A)], [1, 2], [1, 0]),  # numbers contradict the classes: IoU
        ([(0, A)], [(0, A), (0, B)], [1, 2], [0, None]),  # more masks than objects
        ([(0, A)], [(1, A)], [1], [None]),
        ([], [(0, A)], [1], [None]),
        ([(0, A)], [], [], []),
    ],
)
def test_owners(
    objects: list[tuple[int, tuple[int, ...]]],
    masks: list[tuple[int, tuple[int, ...]]],
    numbers: list[int],
    expected: list[int | None],
) -> None:
    assert owners(listed(*objects), listed(*masks), numbers) == expected
