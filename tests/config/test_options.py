"""`pdsl config`: every key is explained, found by parts of its name, and compared between two configurations."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

import cli as program
from commands.config import complete_key
from data.options import Option, kind_in_words, list_groups
from data.parameters import leaves
from pdsl.config.tree import Config
from stages.settings import setting_defaults

ALL = [("", Config()), *setting_defaults()]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(program.cli, ["config", *arguments])


@pytest.mark.parametrize(("name", "params"), ALL, ids=[f"{n}-{type(p).__name__}" for n, p in ALL])
def test_every_key_is_listed_with_a_sentence(name: str, params: object) -> None:
    options = [option for group in list_groups(params, name) for option in group.options]
    assert sorted(o.name for o in options) == sorted(f"{name}.{key}" if name else key for key in leaves(params))
    assert [o.name for o in options if not o.sentence] == []
    assert all(group.about for group in list_groups(params, name))


@dataclass(frozen=True)
class Inner:
    """About the inner one.

    rate: of something, per second. More of it.
    """

    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    """About it,
    on two lines.

    name, other: words: as in Eq. 5 of the paper,
        over a line break. Second sentence.
    size: None here.

    note: this is prose, not a field.
    """

    name: str = "a"
    other: str | None = None
    size: tuple[int, int] = (1, 2)
    silent: bool = False
    inner: Inner = field(default_factory=Inner)


def test_docstrings_are_read_entry_by_entry() -> None:
    outer, inner = list_groups(Outer(), "x")
    assert (outer.name, outer.about, inner.name, inner.about) == (
        "x",
        "About it, on two lines.",
        "x.inner",
        "About the inner one.",
    )
    text = "words: as in Eq. 5 of the paper, over a line break. Second sentence."
    assert outer.options == (
        Option("x.name", "text", "a", text),
        Option("x.other", "text or null", None, text),
        Option("x.size", "list of 2 int", [1, 2], "None here."),
        Option("x.silent", "bool", False, ""),
    )
    assert outer.options[0].sentence == "words: as in Eq. 5 of the paper, over a line break"
    assert inner.options[0].name == "x.inner.rate"
    assert kind_in_words(dict[str, int | None]) == "mapping of text to int or null"


@pytest.mark.parametrize(
    ("key", "told", "untold"),
    [
        ("optimizer.lr", ["optimizer.lr = 0.01", "demo: 0.001", "pdsl train optimizer.lr=0.01"], ["momentum"]),
        ("optimizer.lr=0.5", ["optimizer.lr = 0.01"], ["momentum"]),
        ("lr", ["optimizer.lr = 0.01", "optimizer.bias_lr_factor = 2.0"], ["optimizer.momentum"]),
        ("optimizer", ["optimizer.momentum = 0.9"], ["schedule.drops"]),
        ("model.mask", ["model.mask.n_m = 4", "model.mask.cascade.sigma"], ["model.box_head"]),
        ("proposals.mode", ["mode = accurate", "mode = quality", "--set proposals.mode="], ["optimizer"]),
        ("iou_graph.neighbors", ["iou-graph.neighbors = 64"], []),
    ],
)
def test_a_key_is_explained_and_parts_of_keys_are_found(key: str, told: list[str], untold: list[str]) -> None:
    result = call(key)
    assert result.exit_code == 0, result.output
    assert [text for text in told if text not in result.output] == []
    assert [text for text in untold if text in result.output] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer.learning"], "unknown key 'optimizer.learning'; did you mean 'optimizer.lr'?"),
        (["momentun"], "did you mean 'optimizer.momentum'?"),
        (["--diff", "voc-paper", "voc-oficial"], "did you mean 'voc-official'"),
        (["lr", "--diff", "a", "b"], "one of the two"),
    ],
)
def test_mistakes_are_status_2(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and message in result.output, result.output


def test_two_configurations_side_by_side(tmp_path: Path) -> None:
    rows = [line.split() for line in call("--diff", "voc-paper", "voc-official").output.splitlines()]
    assert rows[0] == ["key", "voc-paper", "voc-official"]
    assert ["steps", "100000", "60000"] in rows
    assert ["schedule.drops", "[70000]", "[35000,", "50000]"] in rows
    assert "optimizer.lr" not in [row[0] for row in rows]
    own = tmp_path / "config.yaml"  # a run folder is named by its folder
    own.write_text("base: voc-paper\nclasses: {'[red]a.b': null}\n")
    assert "{'[red]a.b': null}" in call("--diff", "voc-paper", str(tmp_path)).output
    assert "no key differs" in call("--diff", "voc-paper", "voc-paper").output


def test_a_shell_completes_keys() -> None:
    shell = ShellComplete(program.cli, {}, "pdsl", "_PDSL_COMPLETE")
    for words, typed, expected in (
        (["train", "steps=3"], "optimizer.l", ["optimizer.lr="]),
        (["config"], "optimizer.l", ["optimizer.lr"]),
        ([], "conf", ["config"]),
    ):
        assert [item.value for item in shell.get_completions(words, typed)] == expected
    assert complete_key("optimizer.l") == ["optimizer.lr"]
    assert complete_key("sched", assignment=True) == ["schedule.drops=", "schedule.factor=", "schedule.warmup_steps="]
    assert "grabcut.seeds" in complete_key("grabcut.s")
