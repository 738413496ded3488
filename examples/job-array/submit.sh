#!/usr/bin/env bash
# A run on a Slurm cluster: one job array of TASKS tasks per stage. Prints the id of the last array.
#
#     RUN=runs/big SONG="--preset rock" ITEMS=16 TASKS=4 submit.sh --partition=gpu --gpus=1
#     RUN=runs/one SONG="--preset rock" TASKS=4 PARALLEL=32 submit.sh --partition=gpu --gpus=1
#
# A task waits for the task with the same number of the stage before, which has the same items; with
# PARALLEL for all of them. Arguments go to sbatch. Submitting it again finishes what is missing.
set -euo pipefail

# shellcheck source=variables.bash
source "$(dirname "$0")/variables.bash"
mkdir -p "$RUN-logs"

after=() wait=aftercorr
((PARALLEL == 1)) || wait=afterok
for stage in top upsample decode; do
  job=$(sbatch --parsable --job-name="jukebox-$stage" --array="0-$last" \
    --output="$RUN-logs/$stage-%a.txt" --open-mode=append --requeue "${after[@]}" "$@" \
    "$task" "$stage")
  after=(--dependency="$wait:$job" --kill-on-invalid-dep=yes)
done
echo "$job"
