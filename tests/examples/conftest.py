"""The trainer's small training set and the engine's SLURM, for the examples."""

from tests.pipeline.slurm import slurm
from tests.train.conftest import config, store

__all__ = ["config", "slurm", "store"]
