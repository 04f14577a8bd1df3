"""The order of images: epochs of permutations, the same however it is cut."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pdsl.train.randomness import Purpose, derived_seed, image_order


@given(st.integers(1, 20), st.integers(0, 5), st.lists(st.integers(0, 60), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_cutting_gives_the_same_sequence(n_images: int, seed: int, cuts: list[int]) -> None:
    whole = image_order(seed, n_images, 0, 60)
    edges = [0, *sorted(cuts), 60]
    pieces = [image_order(seed, n_images, a, b) for a, b in pairwise(edges)]
    assert [i for piece in pieces for i in piece] == whole
    for epoch in range(60 // n_images):
        assert sorted(whole[epoch * n_images : (epoch + 1) * n_images]) == list(range(n_images))


def test_seeds_differ_by_every_key() -> None:
    keys = [(p, s, t, i) for p in Purpose for s in range(3) for t in range(3) for i in range(3)]
    assert len({derived_seed(*key) for key in keys}) == len(keys)
    assert image_order(0, 50, 0, 50) != image_order(1, 50, 0, 50)
    assert image_order(0, 50, 0, 50) != image_order(0, 50, 50, 100)
