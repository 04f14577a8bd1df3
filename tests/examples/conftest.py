"""The trainer's small training set, for the examples."""

from tests.train.conftest import store

__all__ = ["store"]
