"""Normalisation and the mask branch's capacity."""

from typing import Any

import pytest
import torch

from data.parameters import replace
from pdsl.model.build import build_model
from pdsl.model.losses import Terms
from tests.model.scenes import N_CLASSES, random_sample, small_config


def terms_with(changes: dict[str, Any]) -> Terms:
    """Terms of one sample without dropout, by models that differ in `changes` only."""
    model = build_model(replace(small_config(), changes), N_CLASSES)
    return {name: value.detach() for name, value in model.losses([random_sample()], [None])[0].named().items()}


def test_per_image_terms_are_the_printed_sums_divided() -> None:
    printed, divided = terms_with({"normalisation": "as_printed"}), terms_with({"normalisation": "per_image"})
    n_proposals = int(random_sample().proposals.valid.sum())
    for name in printed:
        if name.startswith("refine"):
            torch.testing.assert_close(divided[name], printed[name] / n_proposals)
        elif name.startswith("mask"):
            proposals = printed[name] / divided[name] / 28**2  # as many as are foreground
            assert float(proposals) == pytest.approx(round(float(proposals)), abs=1e-3)
            assert 1 <= round(float(proposals)) <= 12
        else:
            assert printed[name] == divided[name]


def test_the_releases_means() -> None:
    per_image, release = terms_with({}), terms_with({"normalisation": "release"})
    assert release["refine1.class"] == per_image["refine1.class"]  # no ignored band: every weight counts
    ratio = float(release["correlation1"] / per_image["correlation1"])
    assert ratio == pytest.approx(27 / round(27 / ratio), rel=1e-4)  # n^P over the number of foreground proposals


def test_the_release_keeps_the_weights_within_the_margin() -> None:
    y = torch.tensor([0.0, 1.0, 0.3])
    for normalisation, expected in (("release", [1e-6, 1 - 1e-6, 0.3]), ("per_image", [0, 1, 0.3])):
        model = build_model(replace(small_config(), {"normalisation": normalisation}), N_CLASSES)
        assert model._weights(y).tolist() == pytest.approx(expected, abs=1e-9, rel=1e-7)


def test_a_capacity_that_suffices_is_exact() -> None:
    exact, enough = terms_with({"mask": {"capacity": None}}), terms_with({"mask": {"capacity": 29}})
    for name in exact:
        torch.testing.assert_close(exact[name], enough[name], msg=name)


def test_without_refinement_both_label_sources_are_the_first_scores() -> None:
    first, second = (
        terms_with({"detection": {"n_r": 0}, "mask": {"labels": labels}}) for labels in ("targets", "predictions")
    )
    assert first == second
