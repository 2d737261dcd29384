#!/bin/bash
#SBATCH --job-name=sweep
#SBATCH --array=1-3
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
# Runs every n-th run of a sweep in each of n tasks:
#
#     sbatch examples/slurm/sweep.sh mine.ron --sweep 'seed=1..10' --sweep 'student.layers=[2,4]'
#
# Two minutes before the time is up Slurm asks for the end; what was reached is kept, and the same command goes on with it.
set -euo pipefail
exec flowdistill run "$@" --shard auto --resume --threads "${SLURM_CPUS_PER_TASK:-1}"
