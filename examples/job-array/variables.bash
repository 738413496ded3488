# shellcheck shell=bash disable=SC2034
# What local.sh and submit.sh both start with: checks the variables of the user, and sets `task`, the
# script of a task, and `last`, the number of the last task.

: "${RUN:?the folder of the run}" "${SONG:?what to make, as options of jukebox generate}"
: "${ITEMS:?how many items there are}"
export RUN SONG ITEMS EACH=${EACH:-1}

for name in ITEMS EACH JOBS; do
  [[ ${!name:-1} =~ ^[1-9][0-9]{0,8}$ ]] || {
    echo "$name must be a number from 1 on, not '${!name}'" >&2
    exit 2
  }
done

task=$(cd "$(dirname "$0")" && pwd)/task.sh
last=$(((ITEMS + EACH - 1) / EACH - 1))
