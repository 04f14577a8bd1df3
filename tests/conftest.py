"""Fixtures for all tests."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images beside the project; tests that ask for it are skipped, loudly, where it is missing."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"REAL DATA MISSING: {SHARED / 'data'} does not exist, this test did not run")
    return SHARED


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a test's store goes."""
    return str(tmp_path / "test.zarr")
