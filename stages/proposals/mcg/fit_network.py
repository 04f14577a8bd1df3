"""Teach the network of `ranking.py` from the segments that people drew in BSDS500.

    python -m stages.proposals.mcg.fit_network BSDS_DIR ranking_net.npz

A Poisson regression as in `fit_ranking`, on more features and with two hidden layers. No object class, box or mask of
any detection data set is used.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from data.whole_file import whole_file
from stages.contours.bsds import training_paths
from stages.proposals.mcg.fit_ranking import examples
from stages.proposals.mcg.params import McgParams
from stages.proposals.mcg.ranking import candidate_features, standardised

HIDDEN = (64, 64)

SHARPNESS = 14
"""As in `fit_ranking`: sharper, as colours tell a box that fits from one that nearly fits."""

BATCH = 8192
RATE = 4e-3
"""Largest step of Adam; it rises over the first tenth of the steps and falls to nothing."""
DECAY = 1e-2
"""Of the weights, as a share of the step (AdamW)."""

Layers = list[tuple[np.ndarray, np.ndarray]]


def train(rows: np.ndarray, counts: np.ndarray, weights: np.ndarray, epochs: int, seed: int) -> Layers:
    """Layers of greatest likelihood; rows: (R, F) float32, standardised; counts, weights: (R,) as in `fit_ranking`."""
    rng = np.random.default_rng(seed)
    widths = (rows.shape[1], *HIDDEN, 1)
    parameters = []
    for inputs, outputs in pairwise(widths):
        bound = 1 / np.sqrt(inputs)
        parameters += [rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32), np.zeros(outputs, np.float32)]
    mean_count = counts.sum() / weights.sum()
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    steps = max(epochs * len(rows) // BATCH, 1)
    for step, rate in enumerate(_rates(steps)):
        batch = np.sort(rng.integers(0, len(rows), min(BATCH, len(rows))))
        slopes = gradients(parameters, rows[batch], counts[batch] / mean_count, weights[batch])
        for parameter, gradient, (first, second) in zip(parameters, slopes, moments, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            parameter *= 1 - rate * DECAY
            scale = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
            parameter -= rate / (1 - 0.9 ** (step + 1)) * first / scale
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def _rates(steps: int) -> Iterator[float]:
    for step in range(steps):
        done = (step + 1) / steps
        yield RATE * (10 * done if done < 0.1 else 0.5 * (1 + np.cos(np.pi * (done - 0.1) / 0.9)))


def gradients(parameters: list[np.ndarray], x: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Of the mean of weight x exp(y) - count x y over the rows, y = network(x)."""
    values = [x]
    for i in range(0, len(parameters), 2):
        y = values[-1] @ parameters[i].T + parameters[i + 1]
        values.append(np.maximum(y, 0) if i + 2 < len(parameters) else y)
    logarithm = np.minimum(values.pop()[:, 0], 8)
    error = ((weights * np.exp(logarithm) - counts) / len(x)).astype(np.float32)[:, None]
    slopes: list[np.ndarray] = []
    for i in range(len(parameters) - 2, -1, -2):
        slopes = [error.T @ values[-1], error.sum(0), *slopes]
        error = (error @ parameters[i]) * (values.pop() > 0)
    return slopes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="BSDS500 folder")
    parser.add_argument("out", type=Path, help="weights to write, .npz")
    parser.add_argument("--kept-out", type=int, default=50, help="images at the end of val that are not used")
    parser.add_argument("--every", type=int, default=1, help="use every n-th image")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    paths = training_paths(args.data, args.kept_out)[:: args.every]
    names, rows, counts, weights = examples(paths, McgParams(), args.seed, candidate_features, SHARPNESS)
    print(f"{len(paths)} images, {len(rows)} candidates, {counts.sum():.0f} segments, {len(names)} features")
    mean, deviation = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64) + 1e-6
    scaled = standardised(rows.T, mean, deviation).T
    layers = train(np.ascontiguousarray(scaled), counts, weights, args.epochs, args.seed)
    save(args.out, mean, deviation, layers)


def save(path: Path, mean: np.ndarray, deviation: np.ndarray, layers: Layers) -> None:
    """Write the network; the file appears whole or not at all."""
    arrays = {f"weight{i}": weight for i, (weight, _) in enumerate(layers)}
    arrays |= {f"bias{i}": bias for i, (_, bias) in enumerate(layers)}
    with whole_file(path) as file:
        scale = {"mean": mean.astype(np.float32), "deviation": deviation.astype(np.float32)}
        np.savez(file, allow_pickle=False, **scale, **arrays)


if __name__ == "__main__":
    main()
