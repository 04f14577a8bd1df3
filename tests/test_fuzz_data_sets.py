"""Valid data sets of every layout with one file changed: read, or refused by one sentence; never another exception, a
signal or a hang. What is read is evaluated, as `eval` would do, so that no odd truth reaches code in C unchecked."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from commands.init import described
from commands.workspace import Workspace, workspace_text
from data.catalog import load_images, splits_of
from data.errors import InputError
from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.results import from_coco, to_coco
from pdsl.evaluate.summary import evaluate_predictions
from tests.data.layouts import coco_content, write_coco, write_folder, write_image, write_segmentation, write_voc
from tests.test_fuzz_inputs import EDIT, SECONDS, changed

CAT, DOG = ("cat", (2, 3, 10, 12), False), ("dog", (11, 3, 20, 12), True)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e308, -1e308, float("nan"), float("inf"), 10**30, 10**400, 2**31, 2**63),
    *("", "x", "139", " 139 ", "1e5", "0", "9" * 40, "\ud800", "a/../b", "\x00", "0l1", "P" * 50),
    *([], {}, [[]], [0, 0, 0, 0], [1, 2], [[1, 2], [3, 4], [5, 6]], [[0, 0, 1e9, 0, 5, 5]], [3, 3, -1, 5]),
    *({"size": [20, 30], "counts": [600]}, {"size": [20, 30], "counts": "0"}, {"size": [2**40, 2**40], "counts": []}),
)
"""Values that may stand anywhere in somebody's JSON."""


def _voc(root: Path) -> str:
    lists = {"Main/train": ["a", "b"], "Main/trainval": ["a", "b", "d"], "Segmentation/train": ["a"]}
    spec = write_voc(root, {"a": [CAT, DOG], "b": [DOG]}, lists)
    instance, classes = np.zeros((20, 30), int), np.zeros((20, 30), int)
    instance[3:12, 2:10], classes[3:12, 2:10] = 1, 8
    instance[3:12, 11:20], classes[3:12, 11:20] = 2, 12
    instance[0], classes[0] = 255, 255
    write_segmentation(root, "a", instance, classes)
    write_image(root / "sbd" / "img" / "d.jpg")
    (root / "sbd" / "inst").mkdir()
    record = {"Segmentation": instance.astype(np.uint8) % 255, "Categories": np.array([[8], [12]], np.uint8)}
    scipy.io.savemat(root / "sbd" / "inst" / "d.mat", {"GTinst": record})
    (root / "sbd" / "train.txt").write_text("d\n")
    (root / "sbd" / "val.txt").write_text("b\n")
    (root / "classes.txt").write_text("cat\ndog\n" + "".join(f"c{k}\n" for k in range(10)))
    return spec


def _plain_voc(root: Path) -> str:
    spec = _voc(root)
    (root / "classes.txt").unlink()
    return spec


def _coco(root: Path) -> str:
    return write_coco(root, coco_content())


def _folder(root: Path) -> str:
    csv = 'image,labels,split\na.jpg,"cat,red dog",train\nsub/b.jpg,"[""cat""]",train\nc.jpg,,val\n'
    spec = write_folder(root, csv, ["a.jpg", "sub/b.jpg", "c.jpg"])
    (root / "classes.txt").write_text("cat\nred dog\n")
    return spec


def _workspace(root: Path) -> str:
    root.mkdir(exist_ok=True)
    (root / "pdsl.yaml").write_text(workspace_text(data="voc:a", train="b", val="c", config="d"))
    return ""


@dataclass(frozen=True)
class DataSet:
    """make: writes a valid one and returns its SPEC; files: those that are changed."""

    make: Callable[[Path], str]
    files: tuple[str, ...]


VOC_TEXTS = ("Annotations/a.xml", "ImageSets/Main/train.txt", "ImageSets/Main/trainval.txt")
SETS = {
    "voc": DataSet(_plain_voc, VOC_TEXTS),
    "voc masks": DataSet(_plain_voc, ("SegmentationObject/a.png", "SegmentationClass/a.png", "sbd/inst/d.mat")),
    "voc classes": DataSet(_voc, ("classes.txt", "JPEGImages/a.jpg", "sbd/train.txt")),
    "coco": DataSet(_coco, ("annotations/instances_val2017.json",)),
    "folder": DataSet(_folder, ("labels.csv", "classes.txt", "images/a.jpg")),
    "workspace": DataSet(_workspace, ("pdsl.yaml",)),
}


OPTIONS = ("data", "split", "store", "workers", "scheduler", "cluster", "images", "proposals_from")


def use(spec: str, root: Path) -> None:
    """All that `init`, `precompute` and `eval --results` do with a data set, but for the images' pixels."""
    if not spec:
        Workspace.find(root).precompute_jobs(
            {},
            **dict.fromkeys(OPTIONS, None),
            stage="all",
        )
        return
    for split in splits_of(spec):
        images = load_images(spec, split)
        images.digest(), images.size_matrix(), list(described([images]))
        if not spec.startswith("folder:"):
            try:
                given_set = read_evaluation_set(spec, split, None)
            except InputError as error:
                if "nothing to compare with" not in str(error):
                    raise
                continue
            found = [
                Prediction(image.id, item.class_id, 0.5, np.asarray(item.box, np.float64), item.mask)
                for image in given_set.truth
                for item in image.truth.objects
            ]
            rows = json.loads(json.dumps(to_coco([p for p in found if p.mask is not None], images)))
            found += from_coco(rows, images, "rows")
            evaluate_predictions(found, given_set.truth, images.class_names)


def attempt(root: Path, spec: str) -> None:
    started = time.monotonic()
    try:
        use(spec, root)
    except InputError as error:
        assert str(error).strip() and "\n" not in str(error), "a refusal is one sentence"
    assert time.monotonic() - started < SECONDS


def try_bytes(name: str, root: Path, examples: int) -> None:
    data_set = SETS[name]
    shutil.rmtree(root, ignore_errors=True)
    spec = data_set.make(root)
    use(spec, root)
    valid = [(root / file).read_bytes() for file in data_set.files]

    @seed(0)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(valid) - 1), st.lists(EDIT, min_size=1, max_size=4))
    def change(which: int, edits: list[tuple[str, float, bytes, int]]) -> None:
        path = root / data_set.files[which]
        path.write_bytes(changed(valid[which], edits))
        try:
            attempt(root, spec)
        finally:
            path.write_bytes(valid[which])

    change()


def places(value: Any, path: Sequence[Any] = ()) -> Iterator[Sequence[Any]]:
    """Paths of all values in a JSON document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def put(value: Any, path: Sequence[Any], new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = put(value[path[0]], path[1:], new)
    return copied


def try_values(root: Path, examples: int) -> None:
    spec = _coco(root)
    content = coco_content()
    where = list(places(content))

    @seed(0)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.sampled_from(where), st.sampled_from(ODD)), min_size=1, max_size=2))
    def change(changes: list[tuple[Sequence[Any], Any]]) -> None:
        value: Any = content
        for path, new in changes:
            if path in set(places(value)):
                value = put(value, path, new)
        (root / "annotations" / "instances_val2017.json").write_text(json.dumps(value))
        attempt(root, spec)

    change()


@pytest.mark.parametrize("name", SETS)
def test_a_changed_file_is_read_or_refused(tmp_path: Path, name: str) -> None:
    try_bytes(name, tmp_path / "set", 60)


def test_odd_values_in_coco_are_read_or_refused(tmp_path: Path) -> None:
    try_values(tmp_path / "set", 300)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_many_changed_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    try_bytes(name, tmp_path / "set", 5_000)


@pytest.mark.slow
def test_many_odd_values_in_coco_are_read_or_refused(tmp_path: Path) -> None:
    try_values(tmp_path / "set", 10_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": ' + "[" * 100_000, "nested too deeply"),
        ('{"info": ' + '{"a": ' * 100_000, "nested too deeply"),
        ('{"info": ' + "9" * 5000 + "}", "a number too long"),
        ('{"images": [{"id": 1e999}]}', "id: inf is neither text nor a whole number"),
        ('{"images": {"id": 1}, "categories": 5}', "image 1: .*file_name|no mapping"),
    ],
)
def test_json_that_is_no_data(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_images(write_coco(tmp_path, text), "val2017")
