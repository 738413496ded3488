#!/usr/bin/env bash
# One task of an array: one stage of a few of a run's items.
#
#     RUN=runs/big SONG="--preset rock" ITEMS=16 EACH=4 TASK=2 task.sh top
#
# samples the top level of items 8 to 11. The stages are top, upsample and decode.
set -euo pipefail

stage=${1:?"which stage? top, upsample or decode"}
: "${RUN:?the folder of the run}" "${SONG:?what to make, as options of jukebox generate}"
: "${ITEMS:?how many items there are}" "${EACH:?how many of them a task makes}"
task=${TASK:-${SLURM_ARRAY_TASK_ID:?set TASK, or run this in a job array}}

# 10#: a leading zero, as in 08, means no octal number
first=$((10#$task * EACH))
last=$((first + EACH - 1))
((last < ITEMS)) || last=$((ITEMS - 1))
only=$first-$last

case $stage in
# SONG is several words on purpose: it is split into options
# shellcheck disable=SC2086
top) jukebox generate $SONG --out "$RUN" --items "$ITEMS" --only "$only" --until top --quiet ;;
upsample) jukebox upsample "$RUN" --only "$only" --until tokens --quiet ;;
decode) jukebox decode "$RUN" --only "$only" --quiet ;;
*)
  echo "no stage '$stage': top, upsample or decode" >&2
  exit 2
  ;;
esac
