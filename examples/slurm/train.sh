#!/bin/bash
# Training under torchrun on the GPUs of one node. Interrupted in any way, it goes on where it was, to the same weights.
#
#   cd WORKSPACE && sbatch train.sh [OPTION ...] [KEY=VALUE ...]
#
# Five minutes before the time is over the run saves a checkpoint and queues itself again, until all updates are done.
# Preempted or requeued (SIGTERM), it saves one if an update and the next log line fit into SLURM's KillWait (30 s), and
# begins again in any case: from that one, or from the last of `checkpoint_every`. Options are those of `pdsl train`.
#SBATCH --job-name=pdsl-train
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --mem=128G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
#SBATCH --output=%x-%j.log
set -u
# shellcheck source=/dev/null
if [ -n "${VENV:-}" ]; then . "$VENV/bin/activate"; fi
cd "$SLURM_SUBMIT_DIR" || exit

first=${TMPDIR:-/tmp}/pdsl-$SLURM_JOB_ID.pid # the process of rank 0
rm -f "$first"
time_is_over=
# To rank 0 alone: all ranks stop together at its next log line. torchrun, if asked itself, gives them 30 s.
trap 'time_is_over=yes; kill -TERM "$(cat "$first" 2>/dev/null || echo "$training")"' USR1
trap : TERM # SLURM has told torchrun, too: wait for its end

# shellcheck disable=SC2016 # for the shells that torchrun starts; it makes $$ a single $, hence BASHPID
torchrun --standalone --nproc-per-node "${PROCESSES:-${SLURM_GPUS_ON_NODE:-1}}" --no-python \
    bash -c 'if [ "$RANK" = 0 ]; then echo "$BASHPID" >"$0"; fi; exec "$@"' "$first" pdsl train --resume "$@" &
training=$!
while :; do
    wait "$training"
    status=$?
    kill -0 "$training" 2>/dev/null || break # else it was a signal that ended `wait`
done
rm -f "$first"
if [ -n "$time_is_over" ] && [ "$status" != 0 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
