#!/usr/bin/env bash
# All items of a run on this machine, JOBS tasks at a time, without a scheduler.
#
#     RUN=runs/big SONG="--preset rock" ITEMS=16 EACH=4 JOBS=2 local.sh
#
# Running it again finishes what is missing.
set -euo pipefail

: "${RUN:?the folder of the run}" "${SONG:?what to make, as options of jukebox generate}"
: "${ITEMS:?how many items there are}"
export RUN SONG ITEMS EACH=${EACH:-1}

task=$(cd "$(dirname "$0")" && pwd)/task.sh
last=$(((ITEMS + EACH - 1) / EACH - 1))

for stage in top upsample decode; do
  seq 0 "$last" | xargs -P "${JOBS:-1}" -I{} env TASK={} "$task" "$stage"
done
