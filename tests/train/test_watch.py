"""The watch over the MIL loss: silent where something is learnt, one notice with what to try where not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.parameters import replace
from pdsl.config.tree import Config
from pdsl.train.watch import MilWatch
from tests.train.test_resume import run

VOC = np.arange(2000).reshape(100, 20) % 13 == 0  # 1.5 of 20 classes in an image
SUM = {"model": {"backbone": {"name": "vgg16", "weights": "v.pth"}, "detection": {"mil_reduction": "sum"}}}


def notices(trace: list[float], options: Any = SUM, images: int = 40, labels: np.ndarray = VOC) -> list[str]:
    """What is said of a MIL loss that is logged every `images` images."""
    watch = MilWatch(labels, replace(Config(), options))
    return [said for value in trace if (said := watch.look(images, value)) is not None]


def test_the_two_marks_are_equation_2_of_scores_that_know_nothing() -> None:
    """Of the labels' frequencies, and of 1 / C; the sum over classes, or its mean."""
    watch = MilWatch(VOC, replace(Config(), SUM))
    often = VOC.mean(0)
    assert watch.entropy == pytest.approx(-(often * np.log(often) + (1 - often) * np.log(1 - often)).sum())
    assert watch.untrained == pytest.approx(-(often.sum() * np.log(0.05) + (20 - often.sum()) * np.log(0.95)))
    mean = MilWatch(VOC, Config())
    assert (mean.entropy, mean.untrained) == pytest.approx((watch.entropy / 20, watch.untrained / 20))


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (np.geomspace(5.6, 1.3, 53).tolist(), None),  # on VOC 2007 with mil_reduction=mean, told as a sum
        (np.linspace(5.5, 5.3, 11).tolist(), None),  # 440 images: too early to say
        (np.linspace(5.5, 5.3, 25).tolist(), "does not move"),
        (np.linspace(5.6, 21, 6).tolist(), "diverges"),
        ([*np.linspace(5.5, 4.4, 7), *np.linspace(4.5, 11, 10)], "diverges"),
    ],
)
def test_runs_on_photographs(trace: list[float], said: str | None) -> None:
    found = notices(trace)
    assert len(found) == (said is not None)
    assert said is None or f"MIL loss {said}" in found[0]
    assert all(len(line) <= 80 for text in found for line in text.splitlines())


def test_it_is_said_once_and_again_only_after_it_was_better() -> None:
    bad, good = [21.0] * 10, [3.0] * 10
    assert len(notices([*bad, *bad, *bad])) == 1  # nor that it does not move
    assert ["diverges" in text for text in notices([*good, *bad, *good, *bad])] == [True, True]


def test_single_images_are_no_evidence() -> None:
    assert notices([60.0, *[2.0] * 199], images=1) == []
    assert notices([60.0], images=1) == []


def test_warm_up_delays_the_verdict() -> None:
    warm = replace(Config(), SUM | {"schedule": {"warmup_steps": 100}})
    assert warm.optimizer.images_per_step == 4
    watch = MilWatch(VOC, warm)
    told = [place for place in range(1, 50) if watch.look(40, 5.3)]
    assert told == [35]  # 1,000 images and 100 updates of 4


@pytest.mark.parametrize(
    ("options", "trace", "tried", "not_tried"),
    [
        (SUM, [21.0] * 5, ["mil_reduction=mean", "lr=0.0033 (is 0.01)", "warmup_steps=200 (is 0)"], ["weights="]),
        (SUM, [5.4] * 25, ["lr=0.03 (is 0.01)"], ["adamw"]),
        ({}, [0.27] * 25, ["weights=FILE", "kind=adamw", "lr=0.03"], ["mil_reduction"]),
        ({"model": {"backbone": {"name": "tiny"}}}, [0.27] * 25, ["kind=adamw"], ["weights=FILE"]),
        ({"schedule": {"warmup_steps": 300}, "optimizer": {"kind": "adamw"}}, [9.0] * 5, ["lr="], ["warmup", "adamw"]),
    ],
)
def test_advice_is_what_is_not_so_already(
    options: Any, trace: list[float], tried: list[str], not_tried: list[str]
) -> None:
    (said,) = notices(trace, options)
    assert all(word in said for word in tried) and not any(word in said for word in not_tried)


def test_labels_that_are_the_same_everywhere_are_no_standstill() -> None:
    assert notices([1e-6] * 30, labels=np.ones((10, 1), bool)) == []


def test_a_run_tells_and_a_resumed_one_does_not_repeat(
    store: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdsl.train.watch.WINDOW", 4)
    monkeypatch.setattr("pdsl.train.watch.PATIENCE", 8)
    still = ["optimizer.lr=0", "checkpoint_every=4"]
    assert run(store, config, tmp_path / "run", *still, "steps=4") == 0
    assert "notice: the MIL loss does not move" in capsys.readouterr().err
    assert run(store, config, tmp_path / "run", "steps=8", resume=True) == 0
    assert "notice" not in capsys.readouterr().err
    assert len((tmp_path / "run/log.jsonl").read_text().splitlines()) == 4
    assert all("mil" in json.loads(line)["terms"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines())
