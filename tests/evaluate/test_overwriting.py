"""No command writes over one of its inputs, whatever the file is called and however it is reached."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import evaluate, export, image_stages, inspect, predict, status
from data.errors import InputError, system_cause
from pdsl.outputs import refuse_overwriting
from tests.train.makers import make_store, stages


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Data set and store of a test's own: what goes wrong spoils no other test."""
    make_store(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def inspected(own: Path, run: Path, out: Path) -> int:
    return inspect.run(store=str(own / "train.zarr"), image="train_000001", out=str(out), data=None)


def exported(own: Path, run: Path, out: Path) -> int:
    options = {"data": f"voc:{own / 'data'}", "split": "train", "store": str(own / "train.zarr")}
    return export.run(run=str(run), out=str(out), **options)


def listed(own: Path, run: Path, out: Path) -> int:
    return status.run(store=[str(own / "train.zarr")], failed=str(out))


Command = Callable[[Path, Path, Path], int]


@pytest.mark.parametrize(
    ("command", "place", "message"),
    [
        (inspected, "data/JPEGImages/train_000001.jpg", "would overwrite .*train_000001.jpg, which is read"),
        (inspected, "data/JPEGImages/../JPEGImages/train_000002.jpg", "would overwrite .*train_000002.jpg"),
        (inspected, "hard.png", "would overwrite .*train_000003.jpg"),
        (inspected, "soft.png", "would overwrite .*train_000003.jpg"),
        (inspected, "linked/train_000001.jpg", "would overwrite .*train_000001.jpg"),
        (inspected, "data/JPEGImages/val_000000.jpg", "exists and is no picture of ours"),
        (inspected, "photo.jpg", "exists and is no picture of ours"),
        (inspected, "pipe.png", "is a named pipe"),
        (inspected, "train.zarr/look.png", "lies in the store"),
        (inspected, "folder.png", "is a folder"),
        (exported, "run/config.yaml", "would overwrite .*config.yaml"),
        (exported, "run/checkpoints/step-000008.pt", "would overwrite .*.pt"),
        (exported, "data/Annotations/train_000001.xml", "would overwrite .*train_000001.xml"),
        (exported, "data/ImageSets/Main/train.txt", "would overwrite .*train.txt"),
        (exported, "data/Annotations/val_000000.xml", "by its name, is none of ours"),
        (exported, "data/SegmentationObject/val_000000.png", "is no picture of ours"),
        (exported, "data/ImageSets/Main/val.txt", "exists beside files of the data set"),
        (exported, "data/ImageSets/Main/instances.json", "exists beside files of the data set"),
        (exported, "notes.md", "by its name, is none of ours"),
        (exported, "pipe.json", "is a named pipe"),
        (exported, "null.json", "is a device"),
        (exported, "train.zarr/zarr.json", "lies in the store"),
        (exported, "pdsl.yaml", "would overwrite pdsl.yaml"),
        (exported, "run", "is a folder"),
        (listed, "train.zarr/proposals/records/x", "lies in the store"),
        (listed, "data/Annotations/train_000001.xml", "--failed .*would overwrite"),
    ],
)
def test_an_input_is_refused(
    own: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch, command: Command, place: str, message: str
) -> None:
    images = own / "data/JPEGImages"
    (own / "hard.png").hardlink_to(images / "train_000003.jpg")
    (own / "soft.png").symlink_to(images / "train_000003.jpg")
    (own / "linked").symlink_to(images)
    (own / "folder.png").mkdir()
    (own / "pdsl.yaml").write_text("{}")
    for path in (images / "val_000000.jpg", own / "photo.jpg"):
        Image.new("RGB", (8, 8)).save(path)
    (own / "data/ImageSets/Main/instances.json").write_text('{"info": {"description": "by hand"}}')
    (own / "notes.md").write_text("mine")
    for name in ("pipe.png", "pipe.json"):
        os.mkfifo(own / name)
    (own / "null.json").symlink_to("/dev/null")
    monkeypatch.chdir(own)
    before = contents(own)
    with pytest.raises(InputError, match=message):
        command(own, run_folder, own / place)
    assert contents(own) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("place", ["/proc/new.json", "/proc/new/new.json", "/dev/null/new.json"])
def test_a_place_for_no_file_is_said_before_the_work(
    own: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(export, "detect_split", None)
    with pytest.raises(OSError) as caught:
        exported(own, run_folder, Path(place))
    assert system_cause(caught.value) and caught.value.filename == str(Path(place).parent)


def test_pictures_beside_the_photographs(own: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another picture of the user's stays; our own of an earlier run is written anew."""
    monkeypatch.setattr(image_stages, "proposal_stage", lambda trained, method: stages()[0])
    photos = own / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for name in ("cat.png", "dog.jpg"):
        Image.fromarray(noise).save(photos / name)
    for out in (photos, own / "photos/../photos"):
        with pytest.raises(InputError, match=r"cat\.png: would overwrite .*cat\.png"):
            predict.run(run=str(run_folder), images=[str(photos / "cat.png")], out=str(out))
    for _ in range(2):
        assert predict.run(run=str(run_folder), images=[str(photos / "dog.jpg")], out=str(photos)) == 0
    Image.fromarray(noise).save(photos / "dog.png")
    with pytest.raises(InputError, match=r"dog\.png: exists and is no picture of ours"):
        predict.run(run=str(run_folder), images=[str(photos / "dog.jpg")], out=str(photos))


def test_results_are_not_overwritten_by_their_own_figures(own: Path) -> None:
    """COCO's and VOC's, and the truth beside them."""
    options = {"data": f"voc:{own / 'data'}", "split": "train", "store": None, "run": None, "tta": False}
    results = own / "metrics.json"
    results.write_text("[]")
    with pytest.raises(InputError, match=r"--out .*metrics\.json: would overwrite"):
        evaluate.run(results=str(results), out=str(own), **options)
    voc = own / "voc"
    assert evaluate.run(results=str(results), out=None, voc_results=str(voc), **options) == 0
    before = contents(voc)
    (own / "elsewhere").symlink_to(voc)
    with pytest.raises(InputError, match=r"--voc-results .*comp4_det_train_.*: would overwrite"):
        evaluate.run(results=str(voc), out=None, voc_results=str(own / "elsewhere"), **options)
    assert contents(voc) == before and results.read_text() == "[]"


def test_what_is_no_input_may_be_written_again(own: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set, its store and its runs in one folder: every command twice."""
    monkeypatch.chdir(own)
    for _ in range(2):
        assert inspected(own, run_folder, own / "look.png") == 0
        assert inspected(own, run_folder, own / "data/JPEGImages/look.jpg") == 0
        assert exported(own, run_folder, run_folder / "pseudo.json") in (0, 3)
        assert exported(own, run_folder, own / "data/pseudo.json") in (0, 3)
        assert listed(own, run_folder, own / "failed.csv") == 0
    refuse_overwriting([own / "new.json"], files=["s3://bucket/new.json", own / "missing"], stores=["s3://b/x.zarr"])
