#!/bin/bash
#SBATCH --job-name=draws
#SBATCH --array=1-3
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
# Draws a part in each of n tasks:
#
#     sbatch examples/slurm/draws.sh runs/mine -n 1e9 --log-prob -o draws.npy
set -euo pipefail
exec flowdistill sample "$@" --shard auto --threads "${SLURM_CPUS_PER_TASK:-1}"
