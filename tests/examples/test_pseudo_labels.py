"""examples/pseudo_labels: Mask R-CNN on exported pseudo labels, and the whole way from photographs to it."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from commands import evaluate, export
from data.catalog import load_images
from data.decode import decode_record
from data.parameters import to_plain
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.run.checkpoint import save_checkpoint
from tests.examples.makers import EXAMPLES, run, write_photos
from tests.train.makers import CONFIG

FOLDER = EXAMPLES / "pseudo_labels"
SMALL = ["--weights", "scratch", "--backbone", "resnet18", "--side", "48"]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """train_mask_rcnn.py, as Python finds it beside the modules it imports."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("network", "pseudo_labels", "train_mask_rcnn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module("train_mask_rcnn")


@pytest.fixture
def labels(store: str, tmp_path: Path) -> Path:
    """What `export` says of ten scenes by a model that knows nothing."""
    data = f"voc:{Path(store).parent / 'data'}"
    names = list(load_images(data, "train").class_names)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    config = load_config(str(tmp_path / "tiny.yaml"))
    content = {"model": build_model(config.model, len(names)).state_dict(), "step": 0, "class_names": names}
    save_checkpoint(tmp_path / "run", {**content, "config": to_plain(config)})
    file = tmp_path / "labels.json"
    export.run(run=str(tmp_path / "run"), data=data, split="train", store=store, out=str(file))
    return file


def test_it_learns_from_an_export_and_its_results_are_evaluated(
    program: ModuleType, labels: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = Path(store).parent / "data", tmp_path / "out"
    words = ["--labels", str(labels), str(data / "JPEGImages"), "--out", str(out), "--steps", "14", "--lr", "0.05"]
    monkeypatch.setattr(sys, "argv", ["program", *words, *SMALL, "--predict", f"voc:{data}", "train"])
    # what is sure of nothing is to be written, too: the model has seen next to nothing
    build = program.build_mask_rcnn
    monkeypatch.setattr(program, "build_mask_rcnn", lambda *a, **k: _told_everything(build(*a, **k)))
    assert program.main() == 0
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 14 and np.mean(losses[-4:]) < 0.8 * np.mean(losses[:3])
    rows = json.loads((out / "predictions.json").read_text())
    assert {row["image_id"] for row in rows} <= {f"train_{n:06d}" for n in range(10)} and len(rows) > 10
    status = evaluate.run(
        run=None,
        data=f"voc:{data}",
        split="train",
        store=None,
        results=str(out / "predictions.json"),
        tta=False,
        out=str(out),
    )
    metrics = json.loads((out / "metrics.json").read_text())
    assert status == 0 and metrics["detections"] == len(rows) and metrics["images"] == 10
    assert len(list(out.glob("*.png"))) == 8 and torch.load(out / "model.pt", weights_only=True)["class_names"]


def _told_everything(model: torch.nn.Module) -> torch.nn.Module:
    model.roi_heads.score_thresh = 0.0
    return model


def test_training_pictures_and_masks_agree_mirrored_or_not(program: ModuleType, labels: Path, store: str) -> None:
    data = Path(store).parent / "data"
    read = program.read_labels([(str(labels), str(data / "JPEGImages"))], {}, 0.0)
    images = load_images(f"voc:{data}", "train")
    assert read.class_names == images.class_names and len(read.photos) == 9  # one failed in the stages
    by_name = {Path(record.path).name: record for record in images.records}
    for photo in read.photos:
        pixels, target = photo.read(mirrored=False)
        record = by_name[photo.path.name]
        assert np.array_equal((pixels * 255).round().byte().permute(1, 2, 0).numpy(), decode_record(record, exif=False))
        assert {int(label) - 1 for label in target["labels"]} == set(record.label)
        box = torchvision.ops.masks_to_boxes(target["masks"])
        assert (target["boxes"][:, :2] <= box[:, :2] + 0.51).all() and (box[:, 2:] < target["boxes"][:, 2:]).all()
        flipped, other = photo.read(mirrored=True)
        assert torch.equal(flipped, pixels.flip(-1)) and torch.equal(other["masks"], target["masks"].flip(-1))
        assert torch.allclose(other["boxes"][:, 0], pixels.shape[2] - target["boxes"][:, 2])


def test_a_second_file_joins_by_name_and_weak_labels_are_left_out(program: ModuleType, tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    for file, names in (("one.json", ["cat", "sofa"]), ("two.json", ["couch", "zebra"])):
        mask = {"size": [10, 20], "counts": [0, 200]}
        rows = [
            {
                "id": i,
                "image_id": 7,
                "category_id": i,
                "bbox": [0, 0, 20, 10],
                "score": i / 10,
                "segmentation": mask,
                "iscrowd": 0,
                "area": 200,
            }
            for i in (1, 2)
        ]
        content = {
            "images": [{"id": 7, "file_name": "a.png", "height": 10, "width": 20}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
            "annotations": rows,
        }
        (tmp_path / file).write_text(json.dumps(content))
    files = [(str(tmp_path / name), str(tmp_path)) for name in ("one.json", "two.json")]
    read = program.read_labels(files, {"couch": "sofa"}, 0.0)
    assert read.class_names == ("cat", "sofa")
    assert [photo.read(False)[1]["labels"].tolist() for photo in read.photos] == [[1, 2], [2]]
    assert [len(photo.annotations) for photo in program.read_labels(files, {}, 0.15).photos] == [1]
    with pytest.raises(SystemExit, match=r"one\.json: no annotation of a score of 0\.9"):
        program.read_labels(files, {}, 0.9)
    (tmp_path / "below").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "below/a.png")
    assert program.read_labels(files[:1], {}, 0.0).photos[0].path == tmp_path / "below/a.png"
    (tmp_path / "below/a.png").unlink()
    with pytest.raises(SystemExit, match=r"a\.png: no such file"):
        program.read_labels(files, {}, 0.0)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_large"])
def test_a_backbone_with_weights_stays_and_is_asked_once(program: ModuleType, tmp_path: Path, backbone: str) -> None:
    torch.manual_seed(0)
    content = torchvision.models.get_model(backbone).state_dict()
    torch.save(content, tmp_path / "weights.pth")
    model = program.build_mask_rcnn(backbone, str(tmp_path / "weights.pth"), 3, side=32)
    trunk, picture = model.backbone.body, torch.rand(1, 3, 32, 32)
    assert not any(p.requires_grad for p in trunk.parameters()) and not model.train().backbone.body.body.training
    first, again = trunk(picture), trunk(picture)
    assert len(trunk.kept) == 1 and all(torch.equal(first[name], again[name]) for name in first)
    own = dict(trunk.body.named_parameters())
    prefix = "features." if backbone == "mobilenet_v3_large" else ""
    assert all(torch.equal(value, content[f"{prefix}{name}"]) for name, value in own.items()) and own
    learning = program.build_mask_rcnn(backbone, str(tmp_path / "weights.pth"), 3, side=32, learn_trunk=True)
    assert all(p.requires_grad for p in learning.backbone.body.parameters())
    other = "resnet50" if backbone == "resnet18" else "resnet18"
    with pytest.raises((SystemExit, RuntimeError), match=r"does not fit|size mismatch"):
        program.build_mask_rcnn(other, str(tmp_path / "weights.pth"), 3, side=32)


@pytest.mark.slow
def test_from_photographs_to_mask_rcnn(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", tmp_path / "scenes", 6)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    environment = {
        "WEIGHTS": "scratch",
        "TRAINING": f"--config {tmp_path / 'tiny.yaml'} data.max_proposals=24",
        "STAGES": "--set proposals.max_proposals=24 --set grabcut.seeds=all --set store.shard=3",
    }
    command = ("sh", FOLDER / "photos.sh", "photos", "work", *SMALL, "--steps", "2")
    run(*command, folder=tmp_path, environment=environment)
    work = tmp_path / "work"
    assert json.loads((work / "labels.json").read_text())["annotations"]
    assert (work / "what-training-sees.png").stat().st_size > 10_000
    assert (work / "mask-rcnn/predictions.json").exists() and (work / "mask-rcnn/more-0.png").exists()
    assert "nothing to do" in run(*command, folder=tmp_path, environment=environment)
