"""The examples in docstrings run and say the truth."""

import doctest
from importlib import import_module

import pytest

MODULES = ("data.parameters", "pdsl.figures", "stages.registry")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted > 0 and outcome.failed == 0
