"""A non-finite loss blocks its update and is reported; a run that stays non-finite ends."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import train
from data.errors import InputError
from pdsl.model.pdsl import PDSL
from pdsl.run.checkpoint import load_checkpoint
from pdsl.structures import Sample


def run(store: str, config: str, out: Path, *overrides: str) -> None:
    train.run(
        config=config, stores=[store], out=str(out), resume=False, init=None, overrides=list(overrides), data=None
    )


def spoil(monkeypatch: pytest.MonkeyPatch, image_id: str | None) -> list[str]:
    """Let `mask0` of an image (of every image: None) be NaN; the list fills with the ids that were seen."""
    original, seen = PDSL.losses, []

    def losses(self: PDSL, samples: list[Sample], generators: Any) -> Any:
        terms = original(self, samples, generators)
        if samples[0].image.is_meta:  # the trial that tells the memory of an update
            return terms
        for sample, image in zip(samples, terms, strict=True):
            seen.append(sample.image_id)
            if image_id in (None, sample.image_id):
                image.segmentation["mask0"] = image.segmentation["mask0"] * float("nan")
        return terms

    monkeypatch.setattr(PDSL, "losses", losses)
    return seen


def test_update_is_left_out_and_image_and_term_are_named(
    store: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one_step = ["optimizer.images_per_step=1", "steps=9", "log_every=9", "checkpoint_every=1", "checkpoints_kept=0"]
    seen = spoil(monkeypatch, "train_000004")
    run(store, config, tmp_path / "run", *one_step)
    step = seen.index("train_000004") + 1
    entry = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[step - 1])
    assert entry["blocked"] == [{"step": step, "image_id": "train_000004", "terms": ["mask0"]}]
    assert entry["blocked_steps"] == 1
    assert f"step {step}: update left out, mask0 not finite for train_000004" in capsys.readouterr().err
    before, after = (load_checkpoint(tmp_path / f"run/checkpoints/step-{s:06d}.pt")["model"] for s in (step - 1, step))
    assert all(torch.equal(before[name], after[name]) for name in before)
    final = load_checkpoint(tmp_path / "run")["model"]
    assert all(bool(torch.isfinite(value).all()) for value in final.values())
    assert any(not torch.equal(before[name], final[name]) for name in before)


def test_a_run_that_stays_non_finite_ends_with_advice(
    store: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdsl.train.loop.PATIENCE", 3)
    spoil(monkeypatch, None)
    with pytest.raises(InputError, match=r"optimizer\.lr: .*not finite in the last 4 updates"):
        run(store, config, tmp_path / "run", "optimizer.images_per_step=1")


def test_averages_are_over_images_of_good_updates(
    store: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "train_000004")
    run(store, config, tmp_path / "run", "optimizer.images_per_step=3", "steps=3", "log_every=3", "checkpoint_every=3")
    entry = json.loads((tmp_path / "run/log.jsonl").read_text())
    assert entry["blocked_steps"] == 1
    assert 0.5 < entry["terms"]["mask0"] < 0.8  # BCE of untrained masks, ln 2
    assert entry["loss"] == pytest.approx(sum(entry["terms"].values()))
