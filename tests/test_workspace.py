"""What the commands take from `pdsl.yaml`."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from commands.recipes import RecipeName, find_recipe, shipped_configuration
from commands.workspace import Workspace, merge
from commands.workspace_text import workspace_text
from data.errors import InputError

NONE = {
    "data": None, "split": None, "store": None, "workers": 64, "scheduler": None, "cluster": None,
    "images": None, "stage": "grabcut", "proposals_from": None,
}  # fmt: skip

TRAIN = {
    "config": None, "stores": (), "out": None, "resume": False, "init": None, "overrides": (), "data": None,
    "split": None,
}  # fmt: skip


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    text = workspace_text(data="voc:/data/VOC", train="trainval", val="seg-val", config="voc-official")
    (tmp_path / "pdsl.yaml").write_text(text)
    return Workspace.find(tmp_path)


def test_precompute_without_options_covers_both_splits(space: Workspace) -> None:
    train, val = space.precompute_jobs({}, **NONE)
    assert (train["split"], train["store"], train["stage"]) == ("trainval", "stores/train.zarr", "grabcut")
    assert (val["split"], val["store"], val["stage"]) == ("seg-val", "stores/val.zarr", "proposals")
    assert train["data"] == val["data"] == "voc:/data/VOC"
    assert train["workers"] == 64


@pytest.mark.parametrize("stores", ["{train: a.zarr, val: a.zarr}", "{train: a.zarr}", "{train: a.zarr, val: null}"])
def test_one_store_for_both_splits(tmp_path: Path, stores: str) -> None:
    (tmp_path / "pdsl.yaml").write_text(
        f"data: folder:x?val=0.2\ntrain_split: train\nval_split: val\nstores: {stores}\nconfig: demo\nrun: r\n"
    )
    space = Workspace.find(tmp_path)
    (job,) = space.precompute_jobs({}, **dict(NONE, stage="all"))
    assert (job["split"], job["store"], job["stage"], job["learnt_from"]) == ("train+val", "a.zarr", "all", "train")
    (named,) = space.precompute_jobs({}, **dict(NONE, split="val"))
    assert (named["split"], named["store"]) == ("val", "a.zarr") and "learnt_from" not in named
    data = "folder:x?val=0.2"  # as this file says now: it may be another share than when the store was made
    learnt = [("data.split", "train"), ("data.images", data)]
    judged = [("validation.split", "val"), ("validation.images", data)]
    training = space.train_options(**TRAIN)
    assert (training["stores"], training["validation_store"]) == (["a.zarr"], "a.zarr")
    assert training["settings"] == [*learnt, *judged]
    assert space.train_options(**dict(TRAIN, stores=("b.zarr",)))["settings"] == judged
    assert space.train_options(**dict(TRAIN, overrides=("validation.store=c.zarr",)))["settings"] == learnt
    evaluation = space.eval_options(run=None, data=None, split=None, store=None, results=None, tta=False, out=None)
    assert (evaluation["store"], evaluation["split"]) == ("a.zarr", "val")
    assert space.predict_options(run=None, data=None, split="train", store=None, out="o")["store"] == "a.zarr"
    assert space.stores(None) == ["a.zarr"]


def test_one_split_for_both_has_one_store(tmp_path: Path) -> None:
    """Nothing is computed twice, whatever the workspace calls the other store."""
    (tmp_path / "pdsl.yaml").write_text(
        workspace_text(data="folder:x", train="all", val="all", config="demo", one_store=False)
    )
    space = Workspace.find(tmp_path)
    (job,) = space.precompute_jobs({}, **NONE)
    assert (job["split"], job["store"]) == ("all", "stores/train.zarr") and "learnt_from" not in job
    training = space.train_options(**TRAIN)
    assert (training["settings"], training["validation_store"]) == ([], "stores/train.zarr")
    given = space.eval_options(run=None, data=None, split=None, store=None, results=None, tta=False, out=None)
    assert given["store"] == "stores/train.zarr"


def test_init_gives_a_folder_one_store(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,labels,split\na.jpg,cat,train\nb.jpg,dog,val\n")
    text = workspace_text(data="folder:x", **asdict(find_recipe("default", f"folder:{tmp_path}")))
    values = yaml.safe_load(text)
    assert values["stores"] == {"train": "stores/images.zarr", "val": "stores/images.zarr"}
    assert (values["train_split"], values["val_split"]) == ("train", "val")


def test_options_override_the_workspace(space: Workspace) -> None:
    (job,) = space.precompute_jobs({"grabcut": {"seeds": "all"}}, **dict(NONE, split="seg-val", store="x.zarr"))
    assert (job["split"], job["store"]) == ("seg-val", "x.zarr")
    assert job["settings"] == {"grabcut": {"seeds": "all"}}


def test_a_split_finds_its_store(space: Workspace) -> None:
    (job,) = space.precompute_jobs({}, **dict(NONE, split="seg-val"))
    assert job["store"] == "stores/val.zarr"


def test_train_and_eval(space: Workspace) -> None:
    train = space.train_options(**dict(TRAIN, overrides=("steps=3",)))
    assert (train["settings"], train["validation_store"]) == ([], "stores/val.zarr")
    assert train["stores"] == ["stores/train.zarr"]
    assert train["overrides"] == ["steps=3"]
    evaluation = space.eval_options(run=None, data=None, split=None, store=None, results=None, tta=False, out=None)
    assert (evaluation["run"], evaluation["store"]) == ("runs/default", "stores/val.zarr")


@pytest.mark.parametrize(
    "text", ["training: {optimizer.lr: 0.5, steps: 7}", "training: {optimizer: {lr: 0.5}, steps: 7}"]
)
def test_options_of_training_stand_in_the_workspace(tmp_path: Path, text: str) -> None:
    """Below the words of the command line; a run that is continued keeps its own."""
    (tmp_path / "pdsl.yaml").write_text(f"{text}\nconfig: demo\nrun: {tmp_path / 'run'}\nstores: {{train: t.zarr}}\n")
    options = dict(TRAIN, overrides=("steps=3",))
    found = Workspace.find(tmp_path).train_options(**options)
    assert found["settings"] == [("optimizer.lr", 0.5), ("steps", 7)] and found["overrides"] == ["steps=3"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("steps: 7\n")
    assert Workspace.find(tmp_path).train_options(**dict(options, resume=True))["settings"] == []


def test_options_of_training_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "pdsl.yaml").write_text("training: steps=3\nconfig: demo\nrun: r\nstores: {train: t}\n")
    with pytest.raises(InputError, match=r"pdsl\.yaml: training: expected a mapping of keys, not 'steps=3'"):
        Workspace.find(tmp_path).train_options(**TRAIN)


def test_results_need_neither_run_nor_store() -> None:
    options = Workspace({}).eval_options(
        run=None, data="coco:/c", split="val2017", store=None, results="r.json", tta=False, out=None
    )
    assert options["run"] is None


def test_a_file_of_comments_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "pdsl.yaml").write_text("# data: voc:x\n")
    assert Workspace.find(tmp_path).values == {}


def test_without_a_workspace_the_message_names_option_and_cure() -> None:
    with pytest.raises(InputError, match=r"--data: not given, and there is no pdsl.yaml here \(`pdsl init`"):
        Workspace({}).precompute_jobs({}, **NONE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dat: voc:x", "unknown key 'dat'; did you mean 'data'"),
        ("- a", "expected a mapping"),
        ("a: [", "not valid YAML"),
        ("data: \xff", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("train_split: 2012-01-01", "train_split: .* is read as date"),
        ("stores: {train: 1.5}", "stores.train: 1.5 is read as float"),
        ("stores: here", "stores: expected a mapping of keys, not 'here'"),
        ("stores: {train: [a]}", r"stores\.train: \['a'\] is read as list, not as a name"),
        ("stores: {trian: a}", r"unknown key 'stores\.trian'; did you mean 'train'"),
        ("stages: [a]", "stages: expected a mapping"),
        ("data: {voc: a}", "data: .* is read as dict"),
        ("train_split: 2012", "train_split: 2012 is read as int, not as a name; put it in quotes"),
        ("val_split: no", "val_split: False is read as bool"),
        ('run: "a\\0b"', "run: .* holds a zero byte"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pdsl.yaml").write_text(text, "latin-1")
    with pytest.raises(InputError, match=message) as caught:
        Workspace.find(tmp_path)
    assert "pdsl.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "train", "config"),
    [
        ("voc:VOC2012", "trainval-no-segval", "voc-paper"),
        ("voc:VOC2012?sbd=SBD", "train-aug", "voc-official"),
        ("voc:mine", "train", "voc-official"),
        ("coco:COCO", "train2017", "coco-official"),
    ],
)
def test_init_pairs_a_split_with_the_configuration_it_was_published_with(data: str, train: str, config: str) -> None:
    assert shipped_configuration(data, train) == config


@pytest.mark.parametrize(
    ("name", "data", "sbd", "expected"),
    [
        ("default", "voc:{0}", True, ("trainval-no-segval", "seg-val", "voc-paper", None, None)),
        ("paper", "voc:{0}", False, ("trainval-no-segval", "seg-val", "voc-paper", 2000, "proposals/MCG")),
        ("official", "voc:{0}?sbd={0}/sbd", True, ("train-aug", "seg-val", "voc-official", 4000, "proposals/MCG")),
        ("official", "voc:{0}", False, "has split 'train-aug'.*needs SBD"),
        ("paper", "folder:{0}", False, "published for VOC and COCO only"),
    ],
)
def test_a_recipe_is_one_file(
    tmp_path: Path, name: RecipeName, data: str, sbd: bool, expected: tuple[object, ...] | str
) -> None:
    for part in ("JPEGImages", "Annotations", *(["sbd/inst", "sbd/img"] if sbd else [])):
        (tmp_path / part).mkdir(parents=True)
    for kind, lists in (("Main", ("trainval",)), ("Segmentation", ("train", "val"))):
        (tmp_path / "ImageSets" / kind).mkdir(parents=True)
        for split in lists:
            (tmp_path / "ImageSets" / kind / f"{split}.txt").write_text(f"{kind}{split}\n")
    spec = data.format(tmp_path)
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            find_recipe(name, spec)
        return
    (tmp_path / "pdsl.yaml").write_text(workspace_text(data=spec, **asdict(find_recipe(name, spec))))
    values = Workspace.find(tmp_path).values
    stages = values["stages"]
    assert (values["train_split"], values["val_split"], values["config"]) == expected[:3]
    assert stages.get("proposals", {}).get("max_proposals") == expected[3]
    assert stages.get("grabcut") == ({"method": "opencv", "seeds": "all"} if expected[3] else None)
    assert values["proposals_from"] == expected[4]


@pytest.mark.parametrize(
    ("text", "given", "settings", "expected"),
    [
        ("proposals_from: MCG", None, {}, "MCG"),
        ("proposals_from: MCG\nstages: {proposals: {method: files}}", None, {}, "MCG"),
        ("proposals_from: MCG\nstages: {proposals: {method: files}}", None, {"proposals": {"method": "mcg"}}, None),
        ("proposals_from: MCG", "other", {}, "other"),
        ("proposals_from: null", None, {}, None),
    ],
)
def test_published_proposals_stand_in_the_workspace(
    tmp_path: Path, text: str, given: str | None, settings: dict[str, dict[str, str]], expected: str | None
) -> None:
    head = "data: voc:x\ntrain_split: t\nval_split: v\nstores: {train: t.zarr, val: v.zarr}\n"
    (tmp_path / "pdsl.yaml").write_text(head + text)
    jobs = Workspace.find(tmp_path).precompute_jobs(settings, **dict(NONE, proposals_from=given))
    assert [job["proposals_from"] for job in jobs] == [expected, expected]


def test_template_is_valid_and_merge_is_deep() -> None:
    assert yaml.safe_load(workspace_text(data="voc:a", train="t", val="v", config="c"))["data"] == "voc:a"
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
