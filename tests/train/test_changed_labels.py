"""A data set whose labels or classes change between the stages and training."""

import json
import re
from pathlib import Path

import pytest

from commands import export, precompute, relabel, status, train
from data.catalog import load_images
from data.errors import InputError
from pdsl.cache import open_cache
from pdsl.config.tree import DataConfig
from store.store import open_store
from tests.train.makers import make_store


def run(store: str, config: str, out: Path, *overrides: str, resume: bool = False) -> int:
    return train.run(
        config=config, stores=[store], out=str(out), resume=resume, init=None, overrides=list(overrides), data=None
    )


def correct_a_label(data: Path) -> None:
    """The objects of the first training image become of another class of the data set."""
    names = (data / "classes.txt").read_text().split()
    path = data / "Annotations/train_000000.xml"
    found = re.findall(r"<name>(\w+)</name>", path.read_text())
    other = next(name for name in names if name not in found)
    path.write_text(re.sub(r"<name>\w+</name>", f"<name>{other}</name>", path.read_text()))


def rename_a_class(data: Path) -> None:
    """A spelling in classes.txt and in every annotation."""
    path = data / "classes.txt"
    old = path.read_text().split()[0]
    for file in (path, *(data / "Annotations").iterdir()):
        file.write_text(file.read_text().replace(old, f"{old}s"))


@pytest.mark.parametrize("change", [correct_a_label, rename_a_class])
def test_training_waits_until_one_command_brought_the_labels_in(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str], change: object
) -> None:
    url, data, out = make_store(tmp_path, train=4), tmp_path / "data", tmp_path / "run"
    assert run(url, config, out, "steps=2") == 0
    change(data)  # type: ignore[operator]
    images = load_images(f"voc:{data}", "train")
    for attempt in (
        lambda: open_cache(DataConfig(stores=(url,)), {}),
        lambda: run(url, config, tmp_path / "other"),
        lambda: run(url, config, out, "steps=4", resume=True),
        lambda: export.run(run=str(out), data=f"voc:{data}", split="train", store=url, out=str(tmp_path / "o.json")),
    ):
        with pytest.raises(InputError, match=r"changed since the store was made .*run `relabel`"):
            attempt()
    assert status.run(store=url) == 0
    assert "run `relabel`" in capsys.readouterr().out
    assert status.run(store=url, json=True) == 0
    assert json.loads(capsys.readouterr().out)["label_changes"]
    before = {path: path.read_bytes() for path in Path(url).rglob("*") if "images" not in path.parts and path.is_file()}
    assert relabel.run(store=url) == 0
    assert "images have other labels" in capsys.readouterr().out
    assert (open_store(url).images().labels() == images.label_matrix()).all()
    assert open_store(url).images().class_names == images.class_names
    changed = {path.name for path, content in before.items() if path.read_bytes() != content}
    assert changed <= {"zarr.json"}
    assert status.run(store=url, json=True) == 0
    assert json.loads(capsys.readouterr().out)["label_changes"] == []
    with pytest.raises(InputError, match=r"the labels of the stores were changed|trained on the classes"):
        run(url, config, out, "steps=4", resume=True)
    assert run(url, config, tmp_path / "other", "steps=2") == 0


def test_precompute_tells_the_labels_it_brings_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, data = make_store(tmp_path, train=3), tmp_path / "data"
    correct_a_label(data)
    with pytest.raises(InputError, match="run differently"):  # the stand-in stages are not the real ones
        precompute.run(data=f"voc:{data}", split="train", store=url, stage="proposals", workers=0)
    assert "1 of 3 images have other labels: train_000000; the store gets the new labels" in capsys.readouterr().err
    open_cache(DataConfig(stores=(url,)), {})


def test_relabel_leaves_new_images_to_precompute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, data = make_store(tmp_path, train=3), tmp_path / "data"
    assert relabel.run(store=url) == 0
    assert "already" in capsys.readouterr().out
    correct_a_label(data)
    listed = data / "ImageSets/Main/train.txt"
    listed.write_text(listed.read_text() + "val_000000\n")
    assert relabel.run(store=url) == 0
    said = capsys.readouterr().out
    assert "1 of 3 images have other labels" in said and "1 images of" in said and len(open_store(url)) == 3
