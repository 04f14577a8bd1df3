"""How much commands say: -q, -v, and nothing of other libraries."""

import logging
import os
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli as program
from data.loudness import Loudness, is_quiet, is_verbose, note_console, speaking
from pdsl.evaluate.summary import tell_metrics
from pdsl.progress import ImageProgress
from tests.data.layouts import write_folder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(program.cli, list(arguments))


def test_every_command_has_both() -> None:
    for name, command in program.cli.commands.items():
        text = call(name, "--help").output
        assert "-q, --quiet" in text and "-v, --verbose" in text, name
        assert command.get_help_option_names  # still a command


@pytest.mark.parametrize(
    ("option", "lines", "said"),
    [([], 6, "class"), (["-q"], 1, "wrote pdsl.yaml"), (["-v"], 6, "INFO pdsl: ")],
)
def test_notes_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], lines: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = write_folder(tmp_path / "d", "image,labels\na.jpg,cat\nb.jpg,dog\n", ["a.jpg", "b.jpg", "c.jpg"])
    result = call("init", "--data", spec, *option)
    assert result.exit_code == 0 and not result.stdout
    assert len(result.stderr.splitlines()) == lines and said in result.stderr
    assert not is_quiet() and not is_verbose()


def test_errors_are_said_and_both_at_once_are_one() -> None:
    assert "--store: not given" in call("status", "-q").stderr
    both = call("status", "-q", "-v")
    assert both.exit_code == 2 and "-q and -v exclude each other" in both.stderr


@pytest.mark.parametrize(("loudness", "shown"), [("quiet", []), ("usual", []), ("verbose", ["UserWarning: loaders"])])
def test_warnings_of_libraries(loudness: Loudness, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = os.environ.get("PYTHONWARNINGS"), list(warnings.filters), logging.getLogger().level
    with speaking(loudness):
        warnings.warn("loaders", UserWarning)
        logging.getLogger("a.library").info("receives")
        assert os.environ.get("PYTHONWARNINGS") == (before[0] if loudness == "verbose" else "ignore")
    said = capsys.readouterr().err
    assert all(words in said for words in shown) and ("receives" in said) == bool(shown) == bool(said)
    assert (os.environ.get("PYTHONWARNINGS"), list(warnings.filters), logging.getLogger().level) == before


def test_what_failed_is_named_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    for loudness in ("quiet", "verbose", "usual"):
        with speaking(loudness), ImageProgress("predict", 2) as progress:  # type: ignore[arg-type]
            progress.advance("x.jpg: broken")
            progress.note("aside")
        said = capsys.readouterr().err
        assert said.count("x.jpg: broken") == 1 and ("aside" in said) == (loudness != "quiet")


def test_a_line_of_a_log_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking("verbose"):
        note_console().print("a\nb [red] :cat:")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("INFO pdsl: ")[2] for line in lines] == ["a", "b [red] :cat:"]


def test_figures_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"mask": {"AP": 1.0, "AP50": None}, "box": {"AP": 2.0, "AP50": 3.0}, "image": {"mAP": 45.67}}
    with speaking("quiet"):
        tell_metrics(metrics, "run: x val", labels_only=False)
        tell_metrics(metrics, "run: y val", labels_only=True)
    assert capsys.readouterr().out.splitlines() == [
        "run: x val: mask AP 1.0, mask AP50 -, box AP 2.0, box AP50 3.0, image mAP 45.7",
        "run: y val: image mAP 45.7",
    ]
