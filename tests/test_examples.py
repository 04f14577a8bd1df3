"""The examples in docstrings, in docs/python.md and in docs/store.md run and say the truth."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.scenes import draw_scene
from tests.examples.makers import ROOT, write_workspace

MODULES = ("data.options", "data.parameters", "pdsl.figures", "stages.registry")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted > 0 and outcome.failed == 0


def test_the_pages_for_python_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_scene(np.random.default_rng(1), side=96).image).save("photo.jpg")
    write_workspace(train=4, side=96)
    for page, examples in (("docs/python.md", 20), ("docs/store.md", 12)):
        outcome = doctest.testfile(str(ROOT / page), module_relative=False)
        assert outcome.attempted > examples and outcome.failed == 0
