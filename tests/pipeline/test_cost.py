"""What a sample says of a stage's cost."""

import time
from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.engine.toy import NoParams, image_list
from pipeline.cost import SAMPLE, _spread, sampled_costs
from pipeline.spec import ArraySpec, ImageFailure, Part, Stage, StageInput


class Slow:
    """Takes `startup` seconds of CPU when it is first called, then `work`; bytes that do not compress."""

    def __init__(self, startup: float, work: float, bad: frozenset[str] = frozenset()) -> None:
        self.startup, self.work, self.bad, self.seen = startup, work, bad, list[str]()

    def __call__(self, given: StageInput) -> Mapping[str, np.ndarray]:
        until = time.process_time() + self.work + (0 if self.seen else self.startup)
        self.seen.append(given.record.id)
        while time.process_time() < until:
            pass
        if given.record.id in self.bad:
            raise ImageFailure("bad")
        return {"toy/value": np.random.default_rng(0).integers(0, 255, 1000, dtype=np.uint8)}


def toy(compute: Slow, part: Part | None = None) -> Stage:
    arrays = (ArraySpec("toy/value", (1000,), "uint8"),)
    return Stage("toy", 1, NoParams(), arrays, compute, needs_image=False, part=part)


def test_start_up_does_not_count() -> None:
    compute = Slow(startup=0.5, work=0.02)
    cost = sampled_costs(image_list(3), ["toy"], lambda name, store: toy(compute))["toy"]
    assert compute.seen == ["im00000", "im00000", "im00002", "im00001"]  # the first one twice
    assert cost.images == 3 and cost.share == 1
    assert 0.02 <= cost.core < 0.12 and cost.clock >= 0.02
    assert 1000 <= cost.bytes < 1200


def test_a_part_stands_for_the_whole() -> None:
    whole, part = Slow(0, 10), Slow(0, 0.02)
    stage = toy(whole, Part(part, lambda arrays: 0.1))
    cost = sampled_costs(image_list(2), ["toy"], lambda name, store: stage)["toy"]
    assert not whole.seen and len(part.seen) == 3
    assert (cost.images, cost.share) == (2, 0.1)
    assert 0.2 <= cost.core < 1.2 and 10_000 <= cost.bytes < 12_000


def test_images_that_fail_are_left_out() -> None:
    def build(bad: frozenset[str]) -> Stage:
        return toy(Slow(0, 0.02, bad))

    some = build(frozenset({"im00000"}))
    assert sampled_costs(image_list(3), ["toy"], lambda name, store: some)["toy"].images == 2
    none = build(frozenset({"im00000", "im00001", "im00002"}))
    assert sampled_costs(image_list(3), ["toy"], lambda name, store: none) == {}


def test_a_sample_ends_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cost.PATIENCE", 0.0)
    compute = Slow(0, 0)
    assert sampled_costs(image_list(100), ["toy"], lambda name, store: toy(compute))["toy"].images == 2


@pytest.mark.parametrize(("n", "expected"), [(1, [0]), (2, [0, 1]), (4, [0, 2, 1, 3]), (1000, None)])
def test_every_beginning_of_a_sample_is_spread(n: int, expected: list[int] | None) -> None:
    rows = _spread(n)
    assert sorted(set(rows)) == sorted(rows) and max(rows) < n
    if expected is not None:
        assert rows == expected
    else:
        assert len(rows) == SAMPLE
        for k in range(3, SAMPLE + 1):
            ends = np.sort([0, *rows[:k], n])
            assert np.diff(ends).max() <= 2.5 * n / k
