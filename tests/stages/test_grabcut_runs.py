"""Runs of a label map and what a box holds of each label."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from stages.grabcut.runs import count_inside, find_runs

LABELS = 4


def test_runs_by_hand() -> None:
    runs = find_runs(np.array([[0, 0, 1], [2, 1, 2]], np.int32))
    assert runs.row.tolist() == [0, 2, 5]
    assert runs.start.tolist() == [0, 2, 0, 1, 2]
    assert runs.label.tolist() == [0, 1, 2, 1, 2]
    assert count_inside(runs, 1, 0, 3, 2, LABELS).tolist() == [1, 2, 1, 0]


@given(st.data())
def test_counts_are_those_of_the_pixels(data: st.DataObject) -> None:
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    label = data.draw(arrays(np.int32, shape, elements=st.integers(0, LABELS - 1)))
    top, left = (data.draw(st.integers(0, side - 1)) for side in shape)
    bottom, right = data.draw(st.integers(top + 1, shape[0])), data.draw(st.integers(left + 1, shape[1]))
    count = count_inside(find_runs(label), left, top, right, bottom, LABELS)
    assert count.tolist() == np.bincount(label[top:bottom, left:right].ravel(), minlength=LABELS).tolist()
