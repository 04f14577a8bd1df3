"""Exit status and messages of the command line."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli as program
from data.errors import InputError


def call(*arguments: str) -> Result:
    return CliRunner().invoke(program.cli, list(arguments))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command() -> None:
    text = call("--help").output
    commands = "init demo precompute status verify inspect train eval predict export config weights"
    for command in commands.split():
        assert f"\n  {command} " in text
    assert "..." not in text.partition("Commands:")[2]  # nothing is cut off


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["precompute", "--stage", "grabcut"], "--data: not given, and there is no pdsl.yaml"),
        (["precompute", "--stage", "grabcot"], "grabcot"),
        (["train", "--steps", "100"], "'--steps'. Keys of the configuration are written without dashes: steps=VALUE."),
        (["train", "--lr=1"], "Keys of the configuration are written without dashes: lr=VALUE."),
        (["precompute", "--stage", "all", "--set", "proposals"], "not of the form key=value"),
        (["train"], "--config: not given"),
        (["status"], "--store: not given"),
        (["eval"], "--data: not given"),
        (["predict"], "IMAGE"),
        (["init", "--data", "vocc:/x"], "vocc"),
        (["init", "--data", "voc:/does/not/exist"], "/does/not/exist"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback() -> None:
    result = call("--debug", "train")
    assert isinstance(result.exception, InputError)


def test_a_fault_of_ours_is_status_1_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> None:
        raise KeyError("x")

    monkeypatch.setattr(program.Workspace, "find", explode)
    result = call("status")
    assert result.exit_code == 1
    assert "KeyError" in result.output
    assert "--debug" in result.output


@pytest.mark.parametrize("score", ["nan", "NaN", "-0.1", "1.5", "inf"])
def test_a_score_is_a_probability(score: str) -> None:
    done = CliRunner().invoke(program.cli, ["predict", "--run", "nowhere", "a.png", f"--score={score}"])
    assert done.exit_code == 2 and "0<=x<=1" in done.output + done.stderr
