"""Masks of any segmenter as proposals and seeds: the layouts, the boxes, the masks, and files that are wrong."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from commands import precompute
from data import rle
from data.boxes import xyxy_to_xywh
from data.catalog import load_images
from data.decode import decode_record
from data.errors import InputError
from data.masks import paste, tight_box, to_box_frame, unpack
from data.scenes import write_scenes
from pdsl.model.pseudo_labels import mask_targets, propagate
from pipeline.spec import ImageFailure, StageInput
from stages.proposals.mask_files import MaskFiles, read_masks
from stages.proposals.stage import proposals_stage
from stages.registry import build_stage, compute_image, stage_for
from store.contents import read_proposal_masks, read_proposals, read_seeds
from store.store import open_store
from tests.stages.test_mcg import scene

SIZE = (40, 60)
DISC = ((np.indices(SIZE) - np.array([20, 30])[:, None, None]) ** 2).sum(0) <= 100
BAR = np.zeros(SIZE, bool)
BAR[5:9, 10:50] = True


def entry(mask: np.ndarray, box: Any = "inclusive", **changes: Any) -> dict[str, Any]:
    """A mask as Segment Anything's generator writes it: its bbox ends on the last pixels."""
    if isinstance(box, str):
        x0, y0, x1, y1 = tight_box(mask).tolist()
        box = [x0, y0, x1 - x0 - 1, y1 - y0 - 1] if box == "inclusive" else [x0, y0, x1 - x0, y1 - y0]
    encoded = rle.encode(mask)
    segmentation = {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}
    row = {"segmentation": segmentation, "area": int(mask.sum()), "bbox": box, "predicted_iou": 0.5}
    row |= {"point_coords": [[3.0, 4.0]], "stability_score": 0.9, "crop_box": [0, 0, SIZE[1], SIZE[0]], **changes}
    return {key: value for key, value in row.items() if value is not None}


TWO = [entry(DISC, predicted_iou=0.4), entry(BAR, predicted_iou=0.8)]


def written(path: Path, content: Any) -> MaskFiles:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return MaskFiles(str(path))


@pytest.mark.parametrize(
    ("file", "content", "image_id"),
    [
        ("masks/000005.json", TWO, "000005"),
        ("masks/000005.json", {"image": {"image_id": 5, "file_name": "000005.jpg"}, "annotations": TWO}, "000005"),
        ("masks/dog/1.json", TWO, "dog/1"),
        ("masks/COCO_train2014_000000000009.json", TWO, "9"),
        ("all.json", {"a": [], "000005": TWO}, "000005"),
        ("all.json", {"images/000005.jpg": TWO}, "000005"),
        ("all.json", [{**row, "image_id": 9} for row in TWO], "9"),
        ("all.json", {"annotations": [{**row, "image_id": 9} for row in TWO]}, "9"),
        (
            "all.json",
            {"images": [{"id": 1, "file_name": "b.jpg"}], "annotations": [{**row, "image_id": 1} for row in TWO]},
            "b",
        ),
    ],
)
def test_layouts(tmp_path: Path, file: str, content: Any, image_id: str) -> None:
    written(tmp_path / file, content)
    place = tmp_path / file.split("/")[0]
    files = pickle.loads(pickle.dumps(MaskFiles(str(place))))
    found = files.lookup(image_id, SIZE)
    assert found.score.tolist() == pytest.approx([0.8, 0.4])
    assert found.box.tolist() == [[10, 5, 50, 9], tight_box(DISC).tolist()]
    assert unpack(found.mask)[0].all()
    assert np.array_equal(unpack(found.mask)[1], to_box_frame(DISC, found.box[1]))
    with pytest.raises(ImageFailure, match=r"^not in file$"):
        files.lookup("other", SIZE)
    assert files.missing([image_id, "other"])[0] == ["other"]
    stage = proposals_stage({"max_proposals": 5}, str(place))
    assert stage.plain_params() == {"method": "masks", "max_proposals": 5} and not stage.needs_image
    again = build_stage("proposals", stage.plain_params(), proposals_from=str(place))
    assert again.plain_params() == stage.plain_params() and again.source == stage.source


@pytest.mark.parametrize(
    ("row", "box"),
    [
        (entry(BAR), [10, 5, 50, 9]),
        (entry(BAR, "half-open"), [10, 5, 50, 9]),
        (entry(BAR, [9.5, 4.25, 41, 6]), [9.5, 4.25, 50.5, 10.25]),
        (entry(BAR, []), [10, 5, 50, 9]),
        (entry(BAR, None), [10, 5, 50, 9]),
        (entry(BAR, segmentation=[[10, 5, 50, 5, 50, 9, 10, 9]]), [10, 5, 50, 9]),
    ],
)
def test_boxes(tmp_path: Path, row: dict[str, Any], box: list[float]) -> None:
    assert written(tmp_path / "a.json", [row]).lookup("a", SIZE).box.tolist() == [box]


def test_without_scores_the_order_is_the_ranking_and_empty_masks_are_left_out(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k in ("segmentation", "bbox")} for row in TWO]
    rows.insert(0, entry(np.zeros(SIZE, bool), [0, 0, 1, 1], predicted_iou=None, stability_score=None))
    found = written(tmp_path / "a.json", rows).lookup("a", SIZE)
    assert found.box.tolist() == [tight_box(DISC).tolist(), [10, 5, 50, 9]]
    assert (np.diff(found.score) < 0).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (3, "mask 1 .*has to be a mapping"),
        (entry(BAR, segmentation=None), "mask 1 .*segmentation: is missing"),
        (entry(BAR[:, :50]), r"mask 1 .*segmentation\.size: \[40, 50\]"),
        (entry(BAR, segmentation={"size": list(SIZE), "counts": "abc"}), r"mask 1 .*segmentation\.counts"),
        (entry(BAR, [1, 2, 3]), "mask 1 .*bbox: "),
        (entry(BAR, [1, 2, float("nan"), 4]), "mask 1 .*bbox: nan"),
        (entry(BAR, [0, 0, 20, 20]), "mask 1 .*does not hold its own mask"),
        (entry(BAR, predicted_iou="high"), "mask 1 .*predicted_iou: 'high'"),
    ],
)
def test_what_is_wrong_with_a_mask_is_the_images_failure(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(ImageFailure, match=message):
        written(tmp_path / "a.json", [TWO[0], row]).lookup("a", SIZE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("3", "no list of masks"),
        ('{"a": 3}', "mapping of image ids"),
        ("{}", "no masks in it"),
        ("[]", "no masks in it"),
        ('[{"image_id": 1}, {}]', "mask 1 .*names no image_id"),
    ],
)
def test_files_that_hold_no_masks_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=rf"a\.json: .*{message}"):
        MaskFiles(str(tmp_path / "a.json"))
    if text in ("3", "[" * 100_000):  # of one image's file; without masks it would be one that has none
        with pytest.raises(InputError, match=message):
            MaskFiles(str(tmp_path))


def test_masks_of_mcg_come_back_as_they_were() -> None:
    """Written as full-image masks. Where a pixel is no larger than a cell of the frame nothing is lost at all."""
    image = np.kron(scene()[0], np.ones((2, 2, 1), np.uint8))
    settings = {"mode": "fast", "contours": "gradient", "max_proposals": 60, "masks": True}
    rows = compute_image("proposals", image, settings)
    count, size = int(rows["proposals/count"]), image.shape[:2]
    box, score = rows["proposals/box"][:count], rows["proposals/score"][:count]
    own = unpack(rows["proposals/mask"][:count])
    full = [paste(mask, corners, size) for mask, corners in zip(own, box, strict=True)]
    entries = [
        entry(mask, xyxy_to_xywh(b).astype(float).tolist(), predicted_iou=float(s))
        for mask, b, s in zip(full, box.astype(np.float64), score, strict=True)
    ]
    found = read_masks(entries, size)
    assert np.array_equal(found.box, box) and np.array_equal(found.score, score)
    expected = np.array([to_box_frame(mask, corners) for mask, corners in zip(full, box, strict=True)])
    assert np.array_equal(unpack(found.mask), expected)
    large = ((box[:, 2:] - box[:, :2]) > 112).all(1)
    assert large.sum() > 5 and (unpack(found.mask)[large] == own[large]).mean() > 0.999


def test_seeds_are_the_masks_and_so_are_the_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MCG's masks through files, the store and the trainer's rule: the targets are those of the masks themselves."""
    data, masks, url = tmp_path / "data", tmp_path / "masks", str(tmp_path / "train.zarr")
    write_scenes(data, train=2, val=1, side=96)
    images = load_images(f"voc:{data}", "train")
    stage = build_stage("proposals", {"mode": "fast", "contours": "gradient", "max_proposals": 40, "masks": True})
    full: dict[str, list[np.ndarray]] = {}
    for record in images.records:
        rows = stage.compute(StageInput(record, decode_record(record, exif=False)))
        count = int(rows["proposals/count"])
        boxes = rows["proposals/box"][:count]
        own = unpack(rows["proposals/mask"][:count])
        full[record.id] = [paste(mask, box, record.size) for mask, box in zip(own, boxes, strict=True)]
        entries = [
            entry(mask, xyxy_to_xywh(box.astype(np.float64)).tolist(), predicted_iou=1 - k / 100)
            for k, (mask, box) in enumerate(zip(full[record.id], boxes, strict=True))
        ]
        written(masks / f"{record.id}.json", entries)
    status = precompute.run(
        data=f"voc:{data}", split="train", store=url, stage="all", workers=0, proposals_from=str(masks),
        settings={"grabcut": {"method": "proposal-masks", "seeds": "all"}},
    )  # fmt: skip
    assert status == 0
    store = open_store(url)
    for row, record in enumerate(images.records):
        box = read_proposals(store, row).box
        kept = [mask for mask in full[record.id] if mask.any()]
        own = np.array([to_box_frame(mask, b) for mask, b in zip(kept, box, strict=True)])
        assert np.array_equal(unpack(read_proposal_masks(store, row)), own)
        proposal, mask = read_seeds(store, row)
        frames = torch.tensor(box)
        for top in range(0, len(box), 7):
            chosen = torch.from_numpy(np.isin(np.arange(len(box)), [top, (top + 3) % len(box)]))
            seed, _ = propagate(frames, frames[proposal.astype(int)], chosen)
            target = mask_targets(frames, frames[proposal.astype(int)], torch.from_numpy(unpack(mask)), seed, 28)
            expected = mask_targets(frames, frames, torch.from_numpy(own), seed, 28)
            assert torch.equal(target, expected)


def test_an_empty_mask_becomes_the_whole_box_and_pixels_are_not_needed() -> None:
    stage = build_stage("grabcut", {"method": "proposal-masks", "seeds": "all"}, capacity=2)
    assert not stage.needs_image and stage.reads[-1] == "proposals/mask"
    mask = np.zeros((2, 56, 7), np.uint8)
    mask[0, 3, 2] = 16
    rows = {
        "proposals/box": np.array([[0, 0, 9, 9], [1, 1, 5, 5]], np.float32),
        "proposals/count": np.int32(2),
        "iou_graph/neighbor": np.array([[0], [1]], np.uint16),
        "proposals/mask": mask,
    }
    found = compute_image("grabcut", np.zeros((9, 9, 3), np.uint8), {"method": "proposal-masks", "seeds": "all"}, rows)
    assert np.array_equal(found["grabcut/mask"][0], mask[0]) and (found["grabcut/mask"][1] == 255).all()


def test_proposals_without_masks_are_refused_with_the_cure(tmp_path: Path) -> None:
    write_scenes(tmp_path / "data", train=1, val=1, side=48)
    url = str(tmp_path / "a.zarr")
    settings = {"proposals": {"method": "selective-search", "mode": "fast", "max_proposals": 8}}
    precompute.run(
        data=f"voc:{tmp_path / 'data'}", split="train", store=url, stage="proposals", workers=0, settings=settings
    )
    with pytest.raises(InputError, match=r"have no masks.*proposals\.masks=true.*--proposals-from"):
        stage_for(open_store(url), "grabcut", {"method": "proposal-masks"})


def test_files_of_another_data_set_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenes(tmp_path / "data", train=2, val=1, side=48)
    given = {"data": f"voc:{tmp_path / 'data'}", "split": "train", "store": str(tmp_path / "a.zarr")}
    written(tmp_path / "masks/other.json", TWO)
    with pytest.raises(InputError, match=r"nothing for 2 of 2 images \(train_000000, train_000001\).*like 'other'"):
        precompute.run(**given, stage="proposals", workers=0, proposals_from=str(tmp_path / "masks"))
    assert not (tmp_path / "a.zarr").exists()
    written(tmp_path / "masks/train_000001.json", [entry(np.ones((48, 48), bool))])
    assert precompute.run(**given, stage="proposals", workers=0, proposals_from=str(tmp_path / "masks")) == 3
    assert "has nothing for 1 of 2 images (train_000000)" in capsys.readouterr().err
