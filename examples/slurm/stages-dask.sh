#!/bin/bash
# The offline stages by one small job that asks for its workers itself, through dask-jobqueue.
#
#   cd WORKSPACE && sbatch stages-dask.sh [OPTION ...]
#
# Workers are described in cluster.yaml, in the workspace. Nodes must be allowed to submit jobs; where they are not, type
# the last line on a login node, in tmux. Options are those of `pdsl precompute`.
#SBATCH --job-name=pdsl-stages
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -eu
# shellcheck source=/dev/null
if [ -n "${VENV:-}" ]; then . "$VENV/bin/activate"; fi
cd "$SLURM_SUBMIT_DIR"
exec pdsl precompute --stage all --cluster cluster.yaml "$@"
