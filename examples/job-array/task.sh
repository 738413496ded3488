#!/usr/bin/env bash
# One task of several: its share of one stage of a run.
#
#     RUN=runs/big SONG="--preset rock" ITEMS=16 TASKS=4 TASK=2 task.sh top
#
# samples the top level of items 2, 6, 10 and 14. The stages are top, upsample and decode. In a job
# array of Slurm, TASKS and TASK are not needed. With PARALLEL=8, the tasks of stage upsample sample
# 8 slices of every song, and each ends when all songs are whole.
set -euo pipefail

stage=${1:?"which stage? top, upsample or decode"}
: "${RUN:?the folder of the run}" "${SONG:?what to make, as options of jukebox generate}"
share=auto
# 10#: a leading zero, as in 08, means no octal number
[[ -z ${TASK:-} ]] || share=$((10#$TASK + 1))/${TASKS:?how many tasks there are}
parallel=()
((${PARALLEL:-1} == 1)) || parallel=(--parallel "$PARALLEL")

case $stage in
top)
  # SONG is several words on purpose: it is split into options
  # shellcheck disable=SC2086
  jukebox generate $SONG --out "$RUN" --items "${ITEMS:-1}" --until top --shard "$share"
  ;;
upsample) jukebox upsample "$RUN" --until tokens --shard "$share" "${parallel[@]}" ;;
decode) jukebox decode "$RUN" --shard "$share" ;;
*)
  echo "no stage '$stage': top, upsample or decode" >&2
  exit 2
  ;;
esac
