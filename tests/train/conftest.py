"""One training set for all tests of the trainer."""

from pathlib import Path

import pytest

from tests.train.makers import CONFIG, make_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a complete store of ten scenes."""
    return make_store(tmp_path_factory.mktemp("training"))


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Path of a configuration whose runs take seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return str(path)
