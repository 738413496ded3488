#!/usr/bin/env bash
# All items of a run on a Slurm cluster: one job array per stage. Each task waits for the task with
# the same number of the stage before. Prints the id of the last array.
#
#     RUN=runs/big SONG="--preset rock" ITEMS=16 EACH=4 submit.sh --partition=gpu --gpus=1
#
# Arguments go to sbatch. Submitting it again finishes what is missing.
set -euo pipefail

# shellcheck source=variables.bash
source "$(dirname "$0")/variables.bash"
mkdir -p "$RUN-logs"

after=()
for stage in top upsample decode; do
  job=$(sbatch --parsable --job-name="jukebox-$stage" --array="0-$last" \
    --output="$RUN-logs/$stage-%a.txt" --requeue "${after[@]}" "$@" "$task" "$stage")
  after=(--dependency="aftercorr:$job" --kill-on-invalid-dep=yes)
done
echo "$job"
