# shellcheck shell=bash disable=SC2034
# What local.sh and submit.sh both start with: checks the variables of the user, and sets `task`, the
# script of a task, and `last`, the number of the last task.

: "${RUN:?the folder of the run}" "${SONG:?what to make, as options of jukebox generate}"
: "${ITEMS:?how many items there are}"
export RUN SONG ITEMS EACH=${EACH:-1}

task=$(cd "$(dirname "$0")" && pwd)/task.sh
last=$(((ITEMS + EACH - 1) / EACH - 1))
