#!/usr/bin/env bash
# All items of a run on this machine, JOBS tasks at a time, without a scheduler.
#
#     RUN=runs/big SONG="--preset rock" ITEMS=16 EACH=4 JOBS=2 local.sh
#
# Running it again finishes what is missing.
set -euo pipefail

# shellcheck source=variables.bash
source "$(dirname "$0")/variables.bash"

for stage in top upsample decode; do
  seq 0 "$last" | xargs -P "${JOBS:-1}" -I{} env TASK={} "$task" "$stage"
done
