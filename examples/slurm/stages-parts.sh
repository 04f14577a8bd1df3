#!/bin/bash
# The offline stages as a job array without a scheduler and without any port: element I of N computes part I of the store.
#
#   cd WORKSPACE && sbatch --array=1-64 stages-parts.sh [OPTION ...]     e.g. --split train; 64 parts
#
# Elements know nothing of each other: the first to start makes the store, the others wait for that. An element that is
# killed or preempted costs the shards it was at; submit the same array again, and elements whose part is done end at
# once. Parts are whole shards, so more parts than shards are of no use. Options are those of `pdsl precompute`.
#SBATCH --job-name=pdsl-parts
#SBATCH --array=1-16
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log
set -eu
# shellcheck source=/dev/null
if [ -n "${VENV:-}" ]; then . "$VENV/bin/activate"; fi # or whatever makes `pdsl` known on a node
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

cd "$SLURM_SUBMIT_DIR"
# with --cpus-per-task=8: --workers 8 instead
exec pdsl precompute --stage all --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --workers 0 "$@"
