"""The ranking network: what it is given, what it says, and how it is taught."""

import numpy as np
import pytest

from stages.networks.run import Network
from stages.proposals.mcg import ranking
from stages.proposals.mcg.candidates import Grouping, propose_candidates
from stages.proposals.mcg.fit_network import gradients, train
from stages.proposals.mcg.params import McgParams
from stages.proposals.mcg.ranking import FARTHEST, candidate_features, expected_objects, network_model, standardised
from tests.stages.test_mcg import scene


def groupings(image: np.ndarray) -> list[Grouping]:
    return propose_candidates(image, McgParams(mode="fast"), lambda i: np.abs(np.gradient(i[..., 0] / 255.0)[1]))


def test_the_packaged_network_knows_the_features() -> None:
    image, _ = scene()
    features = candidate_features(groupings(image), image)
    assert len(features) == len(ranking._weights()["mean"])
    for values in features.values():
        assert values.shape == next(iter(features.values())).shape
        assert np.isfinite(values).all()


def test_expected_objects_are_shares() -> None:
    image, _ = scene()
    found = groupings(image)
    expected = expected_objects(found, image)
    assert expected.shape == (sum(len(grouping.member) for grouping in found),)
    assert (expected >= 0).all()
    assert expected.sum() == pytest.approx(1)
    assert (expected == expected_objects(found, image)).all()


def test_the_network_is_what_its_layers_say() -> None:
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=5).astype(np.float32)),
        (rng.normal(size=(1, 5)).astype(np.float32), rng.normal(size=1).astype(np.float32)),
    ]
    x = rng.normal(size=(3, 11)).astype(np.float32)
    expected = layers[1][0] @ np.maximum(layers[0][0] @ x + layers[0][1][:, None], 0) + layers[1][1][:, None]
    assert Network(network_model(layers))(x[None, :, None])[0, :, 0] == pytest.approx(expected, abs=1e-5)


def test_features_are_cut_off() -> None:
    scaled = standardised(np.array([[0, 1, 100]], np.float32), np.array([1.0]), np.array([0.5]))
    assert scaled.tolist() == [[-2, 0, FARTHEST]]


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    shapes = ((4, 3), (4,), (5, 4), (5,), (1, 5), (1,))
    parameters = [rng.normal(size=shape) for shape in shapes]
    x, counts, weights = rng.normal(size=(7, 3)), rng.random(7), 1 + rng.random(7)

    def loss() -> float:
        y = x
        for i in range(0, 6, 2):
            y = y @ parameters[i].T + parameters[i + 1]
            y = np.maximum(y, 0) if i < 4 else y
        return float((weights * np.exp(y[:, 0]) - counts * y[:, 0]).mean())

    for parameter, gradient in zip(parameters, gradients(parameters, x, counts, weights), strict=True):
        index = (0,) * parameter.ndim
        before = parameter[index]
        parameter[index] = before + 1e-5
        above = loss()
        parameter[index] = before - 1e-5
        slope = (above - loss()) / 2e-5
        parameter[index] = before
        assert gradient[index] == pytest.approx(slope, rel=1e-2, abs=1e-4)


def test_training_finds_the_intensity_that_made_the_counts() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40_000, 2)).astype(np.float32)
    intensity = np.exp(rows[:, 0] - 0.5 * rows[:, 1] ** 2)
    layers = train(rows, rng.poisson(intensity).astype(np.float64), np.ones(len(rows)), epochs=60, seed=0)
    x = np.array([[-1, 0], [0, 0], [1, 0], [0, 1.5]], np.float32)
    said = Network(network_model(layers))(x.T[None, :, None])[0, 0, 0]
    expected = x[:, 0] - 0.5 * x[:, 1] ** 2
    assert said - said[1] == pytest.approx(expected - expected[1], abs=0.15)
