#!/usr/bin/env bash
# A run on this machine, in TASKS shares, JOBS at a time, without a scheduler.
#
#     RUN=runs/big SONG="--preset rock" ITEMS=16 TASKS=4 JOBS=2 local.sh
#     RUN=runs/one SONG="--preset rock" TASKS=2 JOBS=2 PARALLEL=8 local.sh
#
# Running it again finishes what is missing.
set -euo pipefail

# shellcheck source=variables.bash
source "$(dirname "$0")/variables.bash"

for stage in top upsample decode; do
  seq 0 "$last" | xargs -P "${JOBS:-1}" -I{} env TASK={} "$task" "$stage"
done
