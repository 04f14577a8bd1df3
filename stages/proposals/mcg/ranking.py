"""How many objects to expect at each candidate: a small network on its outline, its contours and its colours.

`fit_network` teaches it from segments that people drew. The log-linear model of `stages.regions.ranking`, which weighs
evidence in stage `grabcut`, knows the first of its features.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from stages.networks.onnx import OnnxGraph
from stages.networks.run import Network
from stages.proposals.mcg.candidates import Grouping
from stages.regions.colour_words import colour_words, node_histograms
from stages.regions.contrasts import BOX_CONTRASTS, OWN_CONTRASTS, box_colours, own_contrasts
from stages.regions.features import join
from stages.regions.ranking import AGREEMENT_CELL, box_agreement, rank_features

PACKAGED = Path(__file__).with_name("ranking_net.npz")

FARTHEST = 4.0
"""Features are cut off at this many standard deviations from their mean."""

LEAST_CONTOUR = 1e-3
"""Below it, contours are as good as none."""

SIZE_PRIOR = 0.2
"""Added to the weight of the logarithm of the box's share of the image: tuned on COCO train2017 images, between recall
at IoU 0.5 and at 0.85."""


def expected_objects(groupings: list[Grouping], image: np.ndarray) -> np.ndarray:
    """Share of the objects of `image` (H, W, 3) uint8 RGB to expect at each candidate: (M,) float64, sum 1."""
    features = candidate_features(groupings, image)
    columns = standardised(np.stack([np.asarray(value, np.float32) for value in features.values()]), *_scale())
    logarithm = _network()(columns[None, :, None])[0, 0, 0].astype(np.float64)
    logarithm += SIZE_PRIOR * features["log_share"]
    expected = np.exp(logarithm - logarithm.max())
    return expected / expected.sum()


def candidate_features(groupings: list[Grouping], image: np.ndarray) -> dict[str, np.ndarray]:
    """The features of all candidates by name, (M,) each, in the order of the groupings."""
    size, contour = image.shape[:2], groupings[-1].superpixels.contour
    candidates = join([grouping.candidates for grouping in groupings])
    features = rank_features(candidates, size, contour)
    level = np.log(contour.mean() + LEAST_CONTOUR)
    sides = candidates.box[:, 2:] - candidates.box[:, :2]
    outline = np.log(np.maximum(candidates.outline, LEAST_CONTOUR))
    more = {
        "log_aspect": np.log(sides[:, 0] / sides[:, 1]),
        "regions": candidates.regions,
        "hierarchy_1": candidates.hierarchy == 1,
        "log_fine_agreement": np.log(box_agreement(candidates.box.astype(np.float64), AGREEMENT_CELL / 2)),
        "log_formed": np.log(np.maximum(_formed(groupings), 1e-4)),
        "outline_above": outline - outline.mean(),
        "inside_above": np.log(features["contour_inside"] + LEAST_CONTOUR) - level,
        "ring_above": np.log(features["contour_ring"] + LEAST_CONTOUR) - level,
    }
    colours = _colours(groupings, candidates.box, image)
    return {**features, **more, **dict(zip(BOX_CONTRASTS + OWN_CONTRASTS, colours.T, strict=True))}


def _formed(groupings: list[Grouping]) -> np.ndarray:
    """Altitude at which the last of each candidate's regions was formed: (M,) float64."""
    heights = [np.where(member >= 0, tree.altitude[member], 0).max(1) for _, _, tree, member in groupings]
    return np.concatenate(heights)


def _colours(groupings: list[Grouping], box: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Columns BOX_CONTRASTS and OWN_CONTRASTS of all candidates, whose boxes are `box` (M, 4): (M, 13) float32."""
    words = colour_words(image)
    colours = box_colours(words, box, image.shape[:2])
    own, first = [], 0
    for _, superpixels, tree, member in groupings:
        group, first = colours.group[first : first + len(member)], first + len(member)
        node = node_histograms(words, tree, superpixels.labels)
        own.append(own_contrasts(words, colours, group, node, member))
    return np.concatenate([colours.contrast[colours.group], np.concatenate(own)], 1)


def standardised(columns: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Features (F, M) float32 as the network takes them; mean, deviation: (F,)."""
    scaled = columns - mean[:, None]
    scaled /= deviation[:, None]
    return np.clip(scaled, -FARTHEST, FARTHEST, out=scaled).astype(np.float32, copy=False)


def network_model(layers: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """ONNX of `layers`, weight (O, I) and bias (O,) each, ReLU between them: (1, F, 1, M) -> (1, 1, 1, M)."""
    graph = OnnxGraph(layers[0][0].shape[1])
    x = graph.INPUT
    for i, (weight, bias) in enumerate(layers):
        x = graph.conv(x, weight[:, :, None, None], bias, relu=i + 1 < len(layers))
    return graph.model(x)


@cache
def _weights() -> Mapping[str, np.ndarray]:
    with np.load(PACKAGED, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _scale() -> tuple[np.ndarray, np.ndarray]:
    return _weights()["mean"], _weights()["deviation"]


@cache
def _network() -> Network:
    weights = _weights()
    count = sum(name.startswith("weight") for name in weights)
    return Network(network_model([(weights[f"weight{i}"], weights[f"bias{i}"]) for i in range(count)]))
