"""The trainer's small training set and the engine's SLURM and SSH server, for the examples."""

from tests.pipeline.slurm import slurm
from tests.pipeline.ssh import cluster_file
from tests.train.conftest import config, store

__all__ = ["cluster_file", "config", "slurm", "store"]
