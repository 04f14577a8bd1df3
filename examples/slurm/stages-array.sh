#!/bin/bash
# The offline stages as a job array: every element is a worker, the first one also leads.
#
#   cd WORKSPACE && sbatch --array=0-63 stages-array.sh [OPTION ...]     e.g. --split train; 64 workers
#
# Elements may start late, fail and be preempted: what they were at is done again by the others. If the first one is
# preempted, it begins anew and computes what is missing. Options are those of `pdsl precompute`.
#SBATCH --job-name=pdsl-stages
#SBATCH --array=0-15
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log
set -eu
# shellcheck source=/dev/null
if [ -n "${VENV:-}" ]; then . "$VENV/bin/activate"; fi # or whatever makes `pdsl` and `dask` known on a node
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

cd "$SLURM_SUBMIT_DIR"
leader=$PWD/.dask-$SLURM_ARRAY_JOB_ID.json # says where the scheduler listens; a folder that all nodes see
work() {
    dask worker --scheduler-file "$leader" --nthreads 1 --no-dashboard --death-timeout 60 \
        --local-directory "${TMPDIR:-/tmp}"
}

if [ "$SLURM_ARRAY_TASK_ID" != "$SLURM_ARRAY_TASK_MIN" ]; then
    for _ in $(seq 600); do
        if [ -s "$leader" ]; then work; exit; fi
        sleep 1
    done
    echo "the array's first element did not start within ten minutes, or is done" >&2
    exit
fi

rm -f "$leader"
dask scheduler --port 0 --no-dashboard --scheduler-file "$leader" &
scheduler=$!
# whatever happens: workers end with their scheduler, elements that still wait in the queue are not needed any more
trap 'kill "$scheduler" 2>/dev/null || true; rm -f "$leader"; scancel --state=PENDING "$SLURM_ARRAY_JOB_ID" || true' EXIT
trap 'exit 143' TERM
until [ -s "$leader" ]; do kill -0 "$scheduler"; sleep 1; done
work &
address=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$leader")
pdsl precompute --stage all --scheduler "$address" "$@" &
wait $!
