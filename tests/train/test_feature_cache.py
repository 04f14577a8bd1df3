"""Feature maps kept on disk: the same bits, read instead of computed, and whole or not there."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.catalog import load_images
from data.decode import decode_record
from data.errors import InputError
from pdsl.augment import draw, transform_image
from pdsl.model.backbone import Backbone
from pdsl.model.build import build_backbone
from pdsl.model.feature_cache import SUFFIX, FeatureCache
from pdsl.run.trained import load_trained
from store.store import open_store
from tests.train.makers import write_vgg16
from tests.train.test_resume import assert_same_weights, run

IMAGE = torch.arange(3 * 24 * 32).view(1, 3, 24, 32) % 251 * 1.0


@pytest.fixture
def vgg(tmp_path: Path) -> list[str]:
    """Overrides for a short run of VGG16 with weights, frozen as a whole."""
    write_vgg16(tmp_path / "v.pth")
    few_views = ["augment.scales=[32]", "augment.crop=1", "augment.exposure=1", "augment.saturation=1"]
    weights = ["model.backbone.name=vgg16", f"model.backbone.weights={tmp_path / 'v.pth'}", "model.backbone.freeze=all"]
    return [*weights, *few_views, "pictures=0", "steps=4", "checkpoint_every=4", "optimizer.images_per_step=2"]


def _maps(folder: Path) -> list[Path]:
    return sorted(folder.rglob(f"*{SUFFIX}"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_has_the_same_bits_without_with_an_empty_and_with_a_full_cache(
    store: str, config: str, vgg: list[str], tmp_path: Path, precision: str
) -> None:
    kept = tmp_path / "maps"
    words = [*vgg, f"precision={precision}"]
    for name, options in (
        ("without", []),
        ("first", [f"features.cache={kept}"]),
        ("second", [f"features.cache={kept}"]),
    ):
        assert run(store, config, tmp_path / name, *words, *options) == 0
        assert_same_weights(tmp_path / "without", tmp_path / name)
    assert 0 < len(_maps(kept)) <= 8


def test_later_runs_read_and_do_not_compute(
    store: str, config: str, vgg: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = f"features.cache={tmp_path / 'maps'}"
    assert run(store, config, tmp_path / "first", *vgg, cache) == 0
    original = Backbone._compute

    def compute(self: Backbone, image: Tensor, through_frozen: bool) -> Tensor:
        """For the trial that tells the memory of an update, and for nothing else."""
        return original(self, image, through_frozen) if image.is_meta else pytest.fail("computed again")

    monkeypatch.setattr(Backbone, "_compute", compute)
    assert run(store, config, tmp_path / "second", *vgg, cache, "optimizer.lr=0.001") == 0


def test_evaluation_uses_what_training_kept(store: str, config: str, vgg: list[str], tmp_path: Path) -> None:
    assert run(store, config, tmp_path / "run", *vgg, f"features.cache={tmp_path / 'maps'}") == 0
    trained = load_trained(tmp_path / "run")
    assert trained.model.backbone.cache is not None
    (tmp_path / "maps").rename(tmp_path / "elsewhere")
    assert load_trained(tmp_path / "run").model.backbone.cache is None  # as on another machine: nothing is created
    assert not (tmp_path / "maps").exists()


def test_a_backbone_that_learns_keeps_nothing(store: str, config: str, vgg: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"features\.cache: .*model\.backbone\.freeze=all"):
        run(store, config, tmp_path / "run", *vgg, f"features.cache={tmp_path}", "model.backbone.freeze=stem")
    with pytest.raises(InputError, match=r"features: cache: 's3://a' is not a folder"):
        run(store, config, tmp_path / "run", *vgg, "features.cache=s3://a")


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "foreign"])
def test_a_damaged_map_is_computed_again(tmp_path: Path, damage: str) -> None:
    cache = FeatureCache(tmp_path, build_backbone("tiny"), limit=10**6)
    expected = cache.features(IMAGE, lambda x: x * 2)
    path = _maps(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"flipped": bytes(content), "cut": content[:-9], "emptied": b"", "foreign": b"[]\nx"}[damage])
    assert torch.equal(cache.features(IMAGE, lambda x: x * 2), expected)
    assert torch.equal(cache.features(IMAGE, lambda _: pytest.fail("not mended")), expected)


def test_other_weights_pixels_and_precisions_are_told_apart(tmp_path: Path) -> None:
    backbone = build_backbone("tiny")
    cache = FeatureCache(tmp_path, backbone, limit=10**6)
    cache.features(IMAGE, lambda x: x)
    cache.features(IMAGE.flip(-1), lambda x: x)
    with torch.autocast("cpu", torch.bfloat16):
        assert cache.features(IMAGE, lambda x: x.bfloat16()).dtype == torch.bfloat16
    with torch.no_grad():
        next(backbone.parameters()).mul_(1.5)
    FeatureCache(tmp_path, backbone, limit=10**6).features(IMAGE, lambda x: x)
    assert len(_maps(tmp_path)) == 4


def test_the_limit_counts_what_lies_there(tmp_path: Path) -> None:
    size = 4 * IMAGE.numel()
    FeatureCache(tmp_path, build_backbone("tiny"), limit=int(2.5 * size)).features(IMAGE, lambda x: x)
    backbone = build_backbone("tiny")
    backbone.load_state_dict(build_backbone("tiny").state_dict())
    cache = FeatureCache(tmp_path, backbone, limit=int(1.5 * size))
    cache.features(IMAGE + 1, lambda x: x)
    cache.features(IMAGE + 2, lambda x: x)
    assert len(_maps(cache.folder)) == 1


def test_a_full_disk_ends_keeping_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pdsl.model.feature_cache.write_whole", full)
    cache = FeatureCache(tmp_path, build_backbone("tiny"), limit=10**6)
    for shift in range(3):
        assert torch.equal(cache.features(IMAGE + shift, lambda x: x), IMAGE + shift)
    assert capsys.readouterr().err.count("no more feature maps are kept (No space left on device)") == 1


def test_evaluation_reads_the_maps_of_training_in_its_precision(
    store: str, config: str, vgg: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        *vgg,
        "precision=bfloat16",
        "steps=5",
        "checkpoint_every=5",
        "augment.flip=0",
        f"features.cache={tmp_path / 'maps'}",
    ]
    assert run(store, config, tmp_path / "run", *words) == 0
    trained = load_trained(tmp_path / "run")
    stored = open_store(store).attributes
    seen = [r for r in load_images(stored["spec"], stored["split"]).records if not r.id.endswith("9")]
    transform = draw(trained.config.augment, seen[0].size, torch.Generator())
    pixels = torch.from_numpy(decode_record(seen[0], **open_store(store).decoding).transpose(2, 0, 1).copy())
    original = Backbone._compute

    def compute(self: Backbone, image: Tensor, through_frozen: bool) -> Tensor:
        """For the trial that tells the memory of an update, and for nothing else."""
        return original(self, image, through_frozen) if image.is_meta else pytest.fail("computed again")

    monkeypatch.setattr(Backbone, "_compute", compute)
    features = trained.model.backbone.features(transform_image(transform, pixels))
    assert features.map.dtype == torch.float32
    assert torch.equal(features.map, features.map.bfloat16().float())
