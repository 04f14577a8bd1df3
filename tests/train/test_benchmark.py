"""The benchmark of the trainer: what it counts, by hand; its baseline's masks; a run of it in small."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.trainer.__main__ import detection_line, training_table
from benchmarks.trainer.maps import own_maps
from benchmarks.trainer.measure import measure_detection, measure_training, ready_model
from benchmarks.trainer.parts import REST
from benchmarks.trainer.roofline import Costs, Device, part_table, predict
from benchmarks.trainer.roofline_detection import SIZE, detection_row, predict_detection
from data.errors import InputError
from pdsl.augment import resized
from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pdsl.config.shipped import find_config
from pdsl.model.backbone import Backbone
from pdsl.model.feature_cache import SUFFIX
from pdsl.train.distributed import World

SLOW_SUMS = Device(half=100.0, single=10.0, memory=1e9, cache=1e9, link=1e9)
SLOW_MEMORY = Device(half=1e12, single=1e12, memory=4.0, cache=1e9, link=1e9)


def test_the_longer_of_arithmetic_and_memory_counts() -> None:
    a, b = torch.ones(2, 3), torch.ones(3, 4)
    for device, dtype, seconds in (
        (SLOW_SUMS, torch.float32, 2 * 24 / 10),
        (SLOW_SUMS, torch.bfloat16, 2 * 24 / 100),
        (SLOW_MEMORY, torch.float32, 4 * (6 + 12 + 8) / 4),
    ):
        costs = Costs(device)
        left, right = a.to(dtype), b.to(dtype)
        with costs, costs.enter("product"):
            left @ right
        found = costs.parts["product"]
        assert (found.launches, found.flops) == (1, 48)
        assert found.seconds == pytest.approx(seconds)


def test_parts_are_told_apart() -> None:
    costs = Costs(SLOW_SUMS)
    with costs:
        torch.ones(3) + 1
        with costs.enter("outer"), costs.enter("inner"):
            torch.ones(3).exp().view(3)
    assert {name: part.launches for name, part in costs.parts.items()} == {REST: 2, "inner": 2}
    assert costs.whole.launches == 4 and costs.whole.moved == 4 * (3 + 6 + 3 + 6)


def test_a_prediction(config: str) -> None:
    settled = load_config(config, ["data.max_proposals=30", "precision=bfloat16"])
    found = predict(settled, SLOW_SUMS, 3)
    whole = found.costs.whole
    assert {"trunk", "box head", "mask head", "losses", "backward pass", "update"} <= found.costs.parts.keys()
    assert whole.seconds >= whole.floor > 0 and found.peak > 0
    exchange = found.exchanged / SLOW_SUMS.link
    assert found.seconds(2) == pytest.approx(found.seconds(1) + exchange / 2)  # 2 of 4 images share one exchange
    assert part_table(found.costs, found.images).count("\n") == len(found.costs.parts) + 2


def test_a_look_by_hand() -> None:
    """VGG16 and the heads of `voc-paper`: FLOPs of every layer, of one view and of two."""
    overrides = ["base=backbone/vgg16.yaml", "model.backbone.weights=FILE", "inference.tta_scales=[600]"]
    config = load_config(find_config("voc-paper"), [*overrides, "inference.scale=600"])
    one = predict_detection(config, SLOW_SUMS, 20, tta=False)
    height, width = resized(SIZE, 600, config.inference.max_side)
    assert (height, width) == (600, 800)
    cells = [height * width, height * width // 4, height * width // 16, height * width // 64]
    trunk = cells[0] * (3 * 64 + 64 * 64) + cells[1] * (64 * 128 + 128 * 128) + cells[2] * (128 + 2 * 256) * 256
    trunk += cells[3] * (256 * 512 + 5 * 512 * 512)
    logits = 20 + 20 + 4 * (21 + 4 * 20)  # two streams, four refinement heads with boxes
    mask_convs = 14 * 14 * (9 * (512 * 256 + 3 * 256 * 256) + 4 * 256 * 256)
    predictors = 28 * 28 * 256 * 5 + 20 * (4 * 256 + 4)  # of the box's class, picked by a product
    by_hand = {
        "trunk": 2 * 9 * trunk,
        "box head": 2 * 2000 * (512 * 7 * 7 * 4096 + 4096 * 4096),
        "detection heads": 2 * 2000 * 4096 * logits,
        "mask head": 2 * 100 * (mask_convs + predictors),
    }
    assert {name: part.flops for name, part in one.costs.parts.items() if name in by_hand} == by_hand
    assert one.costs.parts["suppression"].launches > 0
    products = sum(by_hand.values()) / SLOW_SUMS.half
    assert products <= one.costs.whole.floor < 1.01 * products  # and what suppression sums in float32
    two = predict_detection(config, SLOW_SUMS, 20, tta=True)
    assert (one.views, two.views) == (1, 2)
    assert {name: two.costs.parts[name].flops for name in by_hand} == {name: 2 * n for name, n in by_hand.items()}
    assert two.costs.parts["suppression"] == one.costs.parts["suppression"]
    assert f"| {1e3 * two.costs.whole.seconds:.2f} |" in detection_row(20, two)


def test_a_run_in_small(store: str, config: str) -> None:
    settled = load_config(config, [("data.stores", [store])])
    cache, cpu = open_cache(settled.data, settled.classes), torch.device("cpu")
    model = ready_model(settled, cache, cpu)
    found = measure_training(model, settled, cache, World(0, 1, cpu), 2)
    assert 0 < found.wait < found.wall and found.host + found.wait <= found.wall
    assert sum(part.launches for part in found.parts.values()) == pytest.approx(found.launches)
    assert found.parts["backward pass"].launches > found.parts["update"].launches > 0
    assert f"{found.launches:.0f} operators" in training_table(found)
    detected = measure_detection(model, settled, cache, 2, tta=True)
    assert min(detected.decode, detected.device, detected.masks, detected.wall, detected.cpu) > 0
    assert "all views" in detection_line("all views", detected)


@pytest.mark.parametrize("loaders", [0, 1])
def test_maps_are_kept_before_anything_is_measured(
    store: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaders: int
) -> None:
    """As in all epochs but the first; the folder of the user's maps stays as it was."""
    computed, before = 0, []
    original = Backbone._compute

    def compute(self: Backbone, image: Tensor, through_frozen: bool = False) -> Tensor:
        nonlocal computed
        computed += 1
        return original(self, image, through_frozen)

    monkeypatch.setattr(Backbone, "_compute", compute)
    monkeypatch.setattr("benchmarks.trainer.measure.synchronise", lambda cuda: before.append(computed))
    few_views = ["augment.scales=[32]", "augment.crop=1", "augment.exposure=1", "augment.saturation=1"]
    words = [
        *few_views,
        "model.backbone.weights=FILE",
        f"features.cache={tmp_path / 'maps'}",
        ("data.stores", [store]),
        f"data.loaders={loaders}",
    ]
    settled = load_config(config, [*words, "model.backbone.freeze=all"])
    cpu = torch.device("cpu")
    with own_maps(settled) as own:
        cache = open_cache(own.data, own.classes)
        model = ready_model(own, cache, cpu)
        measure_training(model, own, cache, World(0, 1, cpu), 4)
        assert len(list((tmp_path / "maps").rglob(f"*{SUFFIX}"))) == before[0] == computed > 0
        before.clear()
        measure_detection(model, own, cache, 2, tta=False)
        assert before[-1] == computed == before[0] + 2
    assert not list((tmp_path / "maps").iterdir())
    with pytest.raises(InputError, match=r"features\.cache: .*model\.backbone\.freeze=all"):
        ready_model(load_config(config, [*words, "model.backbone.freeze=none"]), cache, cpu)


def test_masks_by_way_of_polygons() -> None:
    pytest.importorskip("cv2")
    from benchmarks.trainer.papers_way import redrawn, through_polygons

    full = np.zeros((40, 60), np.uint8)
    full[10:30, 20:50] = 1
    assert redrawn(full, np.array([20, 10, 50, 30], np.float32), 28).all()
    half = redrawn(full, np.array([5, 10, 35, 30], np.float32), 30)
    assert half[:, 16:].all() and not half[:, :14].any()
    mask = torch.zeros(1, 28, 28, dtype=torch.bool)
    mask[0, 7:21, :14] = True
    found = through_polygons(mask, torch.tensor([[4.0, 2, 32, 30]]), (40, 60))
    assert (found.bool() ^ mask).float().mean() < 0.05
