"""The configuration: files, bases, overrides, and errors that name file and field."""

from pathlib import Path

import pytest

from data.errors import InputError
from data.parameters import to_plain
from pdsl.classes import map_class_names
from pdsl.config.load import config_from_plain, load_config, save_config
from pdsl.config.shipped import find_config
from pdsl.config.tree import Config


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_overrides_win_over_the_file_and_the_file_over_its_bases(tmp_path: Path) -> None:
    write(tmp_path / "low.yaml", "steps: 10\nlog_every: 3\noptimizer: {lr: 0.5, momentum: 0.1}\n")
    write(tmp_path / "mid.yaml", "optimizer: {lr: 0.25}\n")
    top = write(tmp_path / "top.yaml", "base: [low.yaml, mid.yaml]\nsteps: 20\n")
    config = load_config(top, ["steps=30", "checkpoint_every=5", "model.detection.n_r=3", "optimizer.lr=1e-3"])
    assert (config.steps, config.checkpoint_every, config.log_every) == (30, 5, 3)
    assert (config.optimizer.lr, config.optimizer.momentum) == (1e-3, 0.1)
    assert config.model.detection.n_r == 3


def test_a_base_of_the_command_line_goes_over_the_file_s_bases_and_under_its_keys(tmp_path: Path) -> None:
    write(tmp_path / "low.yaml", "steps: 10\nlog_every: 3\nseed: 1\n")
    write(tmp_path / "more.yaml", "steps: 11\nseed: 2\n")
    top = write(tmp_path / "top.yaml", "base: low.yaml\nsteps: 20\n")
    config = load_config(top, ["base=more.yaml"])
    assert (config.steps, config.log_every, config.seed) == (20, 3, 2)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("stepz: 1", [], r"run\.yaml: unknown key 'stepz'; did you mean 'steps'"),
        ("optimizer: {lr: fast}", [], r"run\.yaml: optimizer\.lr: 'fast' is not of type float"),
        ("steps: 0", [], "steps: 0 is not positive"),
        ("", ["checkpoint_evry=5"], "^unknown key 'checkpoint_evry'; did you mean 'checkpoint_every'"),
        ("lr: 0.1", [], r"unknown key 'lr'; did you mean 'optimizer\.lr'\?"),
        ("model: {n_seed: 1}", [], r"unknown key 'model\.n_seed'; did you mean 'model\.mask\.n_seed'\?"),
        ("xyzzyq: 1", [], "unknown key 'xyzzyq'; known: "),
        ("max_side: 9", [], r"did you mean 'augment\.max_side' or 'inference\.max_side'\?"),
        ("base: voc-oficial", [], r"run\.yaml: base: .*none of that name ships.*did you mean 'voc-official'"),
        ("", ["augment.crop=2"], "^augment: crop: 2"),
        ("", ["augment.max_side=1000000"], "^augment: max_side: 1000000 is more than 16384"),
        ("", ["inference.max_side=1000000"], "^inference: max_side: 1000000 is more than 16384"),
        ("", ["optimizer.lr=inf"], "^optimizer.lr: 'inf' is not a finite number"),
        ("", ["optimizer.lr=-1"], r"^optimizer: lr: -1\.0 is not within 0\.\.1000"),
        ("", ["optimizer.lr=1e30"], r"^optimizer: lr: 1e\+30 is not within"),
        ("", ["optimizer.weight_decay=-5"], r"^optimizer: weight_decay: -5\.0"),
        ("", ["optimizer.bias_lr_factor=1e9"], r"^optimizer: bias_lr_factor: 1000000000\.0"),
        ("", ["optimizer.momentum=1"], r"^optimizer: momentum: 1\.0"),
        ("", ["schedule.factor=.nan"], "^schedule.factor: nan is not a finite number"),
        ("[1, 2]", [], r"run\.yaml: expected a mapping of the configuration.s keys, not list"),
        ("a: [", [], r"run\.yaml: can not be read, it is not valid YAML: .*line 1"),
        ("base: other.yaml", [], r"other\.yaml: can not be read"),
        ("base: run.yaml", [], "circle"),
        ("base: {a: 1}", [], r"run\.yaml: base: expected a path"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, overrides: list[str], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        load_config(write(tmp_path / "run.yaml", text), overrides)


def test_a_fault_that_an_override_mends_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "run.yaml", "model: {backbone: {weights: scratch, freeze: all}}")
    with pytest.raises(InputError, match="freeze"):
        load_config(path)
    assert load_config(path, ["model.backbone.weights=w.pth"]).model.backbone.freeze == "all"


def test_saved_configuration_is_complete_and_reads_back(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "run.yaml", "classes: {airplane: aeroplane, '*': null}\nsteps: 7\n"))
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert config_from_plain(to_plain(config), "run") == config
    assert config_from_plain({}, "run") == Config()
    with pytest.raises(InputError, match=r"^runs/old: unknown key 'model.loss_weights'.*another version"):
        config_from_plain({"model": {"loss_weights": {"mil": 1.0}}}, "runs/old")


def test_class_names_are_mapped_and_may_not_collide() -> None:
    assert map_class_names(["airplane", "cat", "boat"], {"airplane": "aeroplane", "boat": None}) == [
        "aeroplane",
        "cat",
        None,
    ]
    with pytest.raises(InputError, match="cat and dog would both be 'cat'"):
        map_class_names(["cat", "dog"], {"dog": "cat"})


def test_a_file_of_the_user_s_builds_on_a_shipped_one(tmp_path: Path) -> None:
    for base in ("voc-official", "voc-official.yaml"):
        config = load_config(write(tmp_path / "voc-official.yaml", f"base: {base}\nsteps: 7\n"))
        assert (config.steps, config.schedule.drops, config.model.detection.smooth_l1_beta) == (7, (35000, 50000), 0.0)
    deep = load_config(tmp_path / "voc-official.yaml", ["base=backbone/resnet50-ws.yaml"])
    assert deep.model.backbone.name == "resnet50_ws"
    write(tmp_path / "demo.yaml", "steps: 8\n")  # a file beside goes over a shipped one of that name
    assert load_config(write(tmp_path / "run.yaml", "base: demo.yaml\n")).data.max_proposals == 2000


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("configs/*.yaml")), ids=lambda p: p.name)
def test_every_shipped_configuration_loads(path: Path) -> None:
    load_config(path, ["model.backbone.weights=weights.pth"])


def test_a_configuration_is_a_file_or_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # a folder of that name is no configuration
    own = tmp_path / "own.yaml"
    own.write_text("steps: 3\n")
    assert find_config(str(own)) == str(own)
    assert Path(find_config("demo")).name == "demo.yaml"
    with pytest.raises(InputError, match="did you mean 'voc-official'"):
        find_config("voc-oficial")
