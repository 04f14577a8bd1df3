#!/bin/sh
# A SLURM of one machine for tests: munged, slurmctld and slurmd (Debian: slurm-wlm, munge). Needs root.
#   slurm.sh start DIR   writes DIR/slurm.conf, starts the daemons; use it with SLURM_CONF=DIR/slurm.conf
#   slurm.sh stop DIR
set -eu
action=$1
dir=$2
conf=$dir/slurm.conf

stop_one() { [ ! -f "$1" ] || kill "$(cat "$1")" 2>/dev/null || true; }

if [ "$action" = stop ]; then
    SLURM_CONF="$conf" scancel --user="$(id -un)" --signal=KILL || true
    for _ in $(seq 20); do
        [ -n "$(SLURM_CONF="$conf" squeue -h 2>/dev/null)" ] || break
        sleep 0.5
    done
    stop_one "$dir/slurmd.pid"
    stop_one "$dir/slurmctld.pid"
    stop_one "$dir/munged.pid"
    exit 0
fi

mkdir -p "$dir/state" "$dir/spool"
dd if=/dev/urandom of="$dir/munge.key" bs=1024 count=1 2>/dev/null
chmod 0400 "$dir/munge.key"
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
host=$(hostname -s)
cat > "$conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5  # a requeued job waits for so long
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$conf"
slurmctld -f "$conf"
slurmd -f "$conf"
for _ in $(seq 60); do
    if sinfo -h -o %T 2>/dev/null | grep -q idle; then exit 0; fi
    sleep 0.5
done
tail -n 40 "$dir/slurmctld.log" "$dir/slurmd.log" >&2
exit 1
