"""Colour words and contrasts against plain counts of pixels."""

import numpy as np
import pytest

from stages.proposals.mcg.candidates import propose_candidates
from stages.proposals.mcg.params import McgParams
from stages.regions.colour_words import WORDS, ColourWords, colour_words, node_histograms
from stages.regions.contrasts import BOX_CONTRASTS, FAR, NEAR, OWN_CONTRASTS, box_colours, own_contrasts
from tests.stages.test_mcg_hierarchy import node_masks, random_tree

RED, BLUE = (200, 30, 30), (30, 30, 200)


def halves() -> np.ndarray:
    """(130, 260, 3): red on the left, blue on the right."""
    image = np.zeros((130, 260, 3), np.uint8)
    image[:, :130], image[:, 130:] = RED, BLUE
    return image


def noise(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_two_colours_are_two_words() -> None:
    words = colour_words(halves())
    assert words.word.shape == (130, 260)
    assert len(words.square) == 2
    left, right = words.word[0, 0], words.word[0, -1]
    assert left != right
    assert (words.word[:, :130] == left).all() and (words.word[:, 130:] == right).all()
    assert words.square == pytest.approx((words.mean**2).sum(1), rel=1e-6)


def test_words_are_few_and_their_integral_counts_them() -> None:
    words = colour_words(noise(0))
    assert len(words.square) == WORDS
    for k in (0, 7, WORDS - 1):
        count = words.integral[50, 90, k] - words.integral[10, 90, k] - words.integral[50, 20, k]
        assert count + words.integral[10, 20, k] == (words.word[10:50, 20:90] == k).sum()
    assert words.integral[-1, -1].min() > 0


def test_a_colour_too_many_goes_to_its_nearest() -> None:
    image = noise(1)
    image[:20, :20] = (255, 0, 255)  # the most frequent of all
    words = colour_words(image)
    whole = (words.word == words.word[5, 5]).mean()
    assert whole >= (20 * 20) / (60 * 80) * 0.9


@pytest.mark.parametrize("seed", range(2))
def test_histograms_of_nodes_are_those_of_their_pixels(seed: int) -> None:
    leaf_map, tree = random_tree(seed, leaves=9)
    words = colour_words(noise(seed, *leaf_map.shape))
    labels = np.argsort(tree.leaf_of, kind="stable").astype(np.int32)
    first = np.searchsorted(tree.leaf_of[labels], np.arange(tree.leaves))
    histogram = node_histograms(words, tree, labels[first][leaf_map])
    rows, columns = (np.arange(n) * m // n for n, m in zip(leaf_map.shape, words.word.shape, strict=True))
    seen = words.word[rows[:, None], columns]
    for node, mask in enumerate(node_masks(leaf_map, tree)):
        count = np.bincount(seen[mask], minlength=len(words.square)) * words.word.size / leaf_map.size
        assert histogram[node] == pytest.approx(count, rel=1e-5)


def contrasts(
    words: ColourWords, node: np.ndarray, member: np.ndarray, box: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """All columns of tuples with these boxes: (M, 13)."""
    colours = box_colours(words, box, size)
    own = own_contrasts(words, colours, colours.group, node, member)
    return np.concatenate([colours.contrast[colours.group], own], 1)


def column(found: np.ndarray, name: str) -> np.ndarray:
    return np.asarray(found[:, (BOX_CONTRASTS + OWN_CONTRASTS).index(name)])


def test_values_of_two_halves() -> None:
    words = colour_words(halves())
    colours = (
        np.bincount(words.word[:, :130].ravel(), minlength=2),
        np.bincount(words.word[:, 130:].ravel(), minlength=2),
    )
    node = np.stack([*colours, colours[0] + colours[1]]).astype(np.float32)
    member = np.array([[0, -1, -1, -1], [2, -1, -1, -1], [0, 1, -1, -1]], np.int32)
    box = np.array([[0, 0, 130, 130], [0, 0, 260, 130], [0, 0, 260, 130]], np.float32)
    found = contrasts(words, node, member, box, (130, 260))
    apart = np.linalg.norm(words.mean[0] - words.mean[1])
    assert column(found, "near_overlap").tolist() == [0, 0, 0]
    assert column(found, "near_difference") == pytest.approx([apart, 0, 0])  # the whole image has no ring
    assert column(found, "ring_share") == pytest.approx([round(130 * NEAR - 0.5) / 130, 0, 0], abs=0.01)
    assert column(found, "spread") == pytest.approx([0, apart / 2, apart / 2], abs=1e-3)
    assert column(found, "own_spread") == pytest.approx([0, apart / 2, apart / 2], abs=1e-3)
    assert column(found, "own_entropy") == pytest.approx([0, np.log(2), np.log(2)], abs=1e-5)
    assert column(found, "own_rarity") == pytest.approx([np.log(2), 0, 0], abs=1e-5)
    assert column(found, "outside_overlap").tolist() == [0, 0, 0]


def reference(
    words: ColourWords, own: np.ndarray, whole: np.ndarray, box: np.ndarray, scale: np.ndarray
) -> list[float]:
    """Of a tuple with the histogram `own` (K,) in an image with that of `whole` (K,), by slices of the words."""
    count = len(words.square)

    def inside(margin: float) -> np.ndarray:
        height, width = words.word.shape
        sides = np.tile(box[2:] - box[:2], 2) * scale * np.array([-margin, -margin, margin, margin])
        x0, y0, x1, y1 = np.floor(box * scale + sides + 0.5).astype(int)
        part = words.word[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
        return np.bincount(part.ravel(), minlength=count).astype(np.float64)

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.minimum(a / a.sum(), b / b.sum()).sum()) if min(a.sum(), b.sum()) >= 1 else 0.0

    def centre(a: np.ndarray) -> np.ndarray:
        return np.asarray(a @ words.mean / a.sum())

    def difference(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(centre(a) - centre(b))) if min(a.sum(), b.sum()) >= 1 else 0.0

    def spread(a: np.ndarray) -> float:
        return float(np.sqrt(a @ words.square / a.sum() - (centre(a) ** 2).sum())) if a.sum() >= 1 else 0.0

    here, near, far = inside(0), inside(NEAR), inside(FAR)
    outside, rest = np.maximum(near - own, 0), np.maximum(here - own, 0)
    near, far = near - here, far - here
    p, q = own / own.sum(), whole / whole.sum()
    entropy, crossed = -(p[p > 0] * np.log(p[p > 0])).sum(), -(p[p > 0] * np.log(q[p > 0])).sum()
    return [
        *(overlap(here, near), overlap(here, far), difference(here, near), difference(here, far)),
        *(spread(here), spread(near), near.sum() / here.sum(), overlap(own, outside), overlap(own, rest)),
        *(difference(own, outside), spread(own), entropy, crossed - entropy),
    ]


def test_contrasts_equal_those_of_slices() -> None:
    image = noise(3, 48, 64)
    image[10:30, 15:40] //= 3
    params = McgParams(mode="fast", contours="gradient")
    grouping = propose_candidates(image, params, lambda i: i[..., 0] / 255)[0]
    words = colour_words(image)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(grouping.member), 60)
    member, box = grouping.member[rows], grouping.candidates.box[rows]
    corner = rng.integers(0, 30, (20, 2))  # other boxes than their own as well
    box[:20] = np.concatenate([corner, corner + rng.integers(8, 18, (20, 2))], 1)
    node = node_histograms(words, grouping.tree, grouping.superpixels.labels)
    found = contrasts(words, node, member, box, (48, 64))
    scale = np.array([words.word.shape[1] / 64, words.word.shape[0] / 48] * 2)
    for row in range(60):
        own = node[member[row][member[row] >= 0]].astype(np.float64).sum(0)
        assert found[row] == pytest.approx(
            reference(words, own, node[-1], box[row].astype(np.float64), scale), abs=2e-3
        )
