# shellcheck shell=bash disable=SC2034
# What local.sh and submit.sh both start with: checks the variables of the user, and sets `task`, the
# script of a task, and `last`, the number of the last task.

: "${RUN:?the folder of the run}" "${SONG:?what to make, as options of jukebox generate}"
export RUN SONG ITEMS=${ITEMS:-1}
export TASKS=${TASKS:-$ITEMS} PARALLEL=${PARALLEL:-1}

for name in ITEMS TASKS PARALLEL JOBS; do
  [[ ${!name:-1} =~ ^[1-9][0-9]{0,5}$ ]] || {
    echo "$name must be a number from 1 to 999999, not '${!name}'" >&2
    exit 2
  }
done

task=$(cd "$(dirname "$0")" && pwd)/task.sh
last=$((TASKS - 1))
