"""What a command prints holds nobody's control characters."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import cli as program
from commands.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat\n\tdog", "cat\n\tdog"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x1b[2Jx\x9bA", "\\x1b[2Jx\\x9bA"),
        ("a\u202egpj.b", "a\\u202egpj.b"),
        ("größe 猫 😀", "größe 猫 😀"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert printable(text) == shown == printable(text, terminal=True)


def test_a_terminal_keeps_colours_and_progress() -> None:
    own = "\x1b[1;31mred\x1b[0m\x1b[2K\x1b[1A\x1b[?25l"
    assert printable(own, terminal=True) == own
    assert "\x1b" not in printable(own)


def test_names_of_a_data_set_reach_no_terminal_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In output, in errors, in tables."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/labels.csv").write_text("image,labels\na.png,\x1b]0;owned\x07cat\n")
    done = CliRunner().invoke(program.cli, ["init", "--data", "folder:d"])
    assert done.exit_code == 2 and "\x1b" not in done.output + done.stderr
    done = CliRunner().invoke(program.cli, ["init", "--data", "folder:\x1b[31mx"])
    assert done.exit_code == 2 and "\x1b" not in done.output + done.stderr
