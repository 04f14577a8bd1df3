"""Pictures of the same few training images, as the model changes; and what else a run leaves for the user to find."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.report.panels import GAP
from pdsl.report.training_pictures import build_pictures
from tests.train.test_resume import assert_same_weights, log_steps, run


def pictures_of(out: Path) -> dict[str, dict[int, Image.Image]]:
    """Image id -> update -> picture."""
    events = EventAccumulator(str(out / "tensorboard"), size_guidance={"images": 0}).Reload()
    return {
        tag.removeprefix("pictures/"): {
            event.step: Image.open(io.BytesIO(event.encoded_image_string)) for event in events.Images(tag)
        }
        for tag in events.Tags()["images"]
    }


def test_they_come_with_checkpoints_and_evaluations_and_change_nothing(store: str, config: str, tmp_path: Path) -> None:
    figures = ["validation.every=6", f"validation.store={store}"]
    assert run(store, config, tmp_path / "drawn", "pictures=2", *figures) == 0
    assert run(store, config, tmp_path / "plain", "pictures=0", *figures) == 0
    assert_same_weights(tmp_path / "plain", tmp_path / "drawn")
    assert not pictures_of(tmp_path / "plain")
    drawn = pictures_of(tmp_path / "drawn")
    assert len(drawn) == 2 and all(list(found) == [0, 4, 6, 8] for found in drawn.values())
    for found in drawn.values():
        before, after = (np.asarray(found[step], np.int16) for step in (0, 8))
        assert before.shape == after.shape and before.shape[2] == 3
        assert (abs(before - after).max(-1) > 60).any()  # what was learnt shows
        panel = (before.shape[1] - GAP) // 3
        assert (abs(before - after)[:, :panel].max(-1) > 60).mean() < 0.2  # and it is the same photograph


def test_a_resumed_run_draws_the_same_images(store: str, config: str, tmp_path: Path) -> None:
    assert run(store, config, tmp_path / "run", "pictures=2", "steps=4") == 0
    first = set(pictures_of(tmp_path / "run"))
    assert run(store, config, tmp_path / "run", "steps=8", resume=True) == 0
    drawn = pictures_of(tmp_path / "run")
    assert set(drawn) == first and all(list(found) == [0, 4, 8] for found in drawn.values())


def test_the_seed_chooses_and_more_than_there_are_is_all(store: str, config: str) -> None:
    def chosen(*overrides: str) -> list[str]:
        settled = load_config(config, [f"data.stores=[{store}]", *overrides])
        cache = open_cache(settled.data, {})
        return [image.image_id for image in build_pictures(settled, cache).images]

    assert chosen("seed=1") == chosen("seed=1") and len(chosen("seed=1")) == 4
    assert len({tuple(chosen(f"seed={seed}")) for seed in range(5)}) > 1
    assert len(chosen("pictures=99")) == 9  # one of the ten failed


@pytest.mark.parametrize("option", ["model.detection.n_r=0", "model.mask.source=cascade", "model.mask.n_m=0"])
def test_every_kind_of_model_is_drawn_and_left_as_it_was(store: str, config: str, option: str) -> None:
    settled = load_config(config, [f"data.stores=[{store}]", "pictures=1", option])
    cache = open_cache(settled.data, {})
    model = build_model(settled.model, len(cache.class_names), 0).train()
    (picture,) = build_pictures(settled, cache)(model).values()
    assert picture.mode == "RGB" and model.training and int(model.dropped) == 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_last_lines_say_where_everything_lies_and_what_comes_next(
    store: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my run"
    assert run(store, config, out, "pictures=0") == 0
    told = capsys.readouterr().err
    for path in (out / "checkpoints/last.pt", out / "log.jsonl"):
        assert path.exists() and str(path) in told
    assert f"tensorboard --logdir '{out}/tensorboard'" in told
    assert f"pdsl eval --run '{out}' --data SPEC --split SPLIT --store URL" in told
    assert run(store, config, tmp_path / "seen", "pictures=0", "validation.every=8", f"validation.store={store}") == 0
    folder = Path(store).parent / "data"
    assert f"--data voc:{folder} --split train --store {store}" in capsys.readouterr().err
    assert log_steps(out) == [2, 4, 6, 8]
