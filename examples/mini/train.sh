#!/bin/sh
# Makes the built-in model: songs, codec, tokens, priors. Stop it at any time and start it again:
# every step goes on from where it was.
#
#     examples/mini/train.sh WORK_FOLDER [STEPS_OF_EACH_PRIOR [STEPS_OF_EACH_AUTOENCODER]]
#
# As it stands it is for a GPU, where training takes a quarter of an hour; the songs and their tokens
# take two CPU cores an hour. Without one, BATCH=4 and 4,000 steps of each are some five hours on two
# cores, for a model that is less good. MINUTES=10 makes it learn from little music, to see that all
# of it works.
# Needs `pip install .`, what examples/mini/README.md lists, and a Debian for real_music.py.
# The model is WORK_FOLDER/mini.
set -eu
work=${1:?name a folder to work in}
steps=${2:-6000}
codec_steps=${3:-2500}
minutes=${MINUTES:-600}
batch=${BATCH:-32}
here=$(dirname "$0")
mkdir -p "$work"

python "$here/make_songs.py" --out "$work/songs" --minutes "$minutes" --held-out 24 --seed 0
python "$here/make_songs.py" --sung --out "$work/sung" --minutes "$minutes" --held-out 24 --seed 2
python "$here/real_music.py" --out "$work/real"

# waits for all that run in the background, and fails if one of them did
together() {
    for process in $pids; do wait "$process"; done
    pids=
}

pids=
export OMP_NUM_THREADS=1 # the levels share nothing, so they train side by side
played="$work/songs/songs.jsonl $work/songs/held-out.jsonl"
sung="$work/sung/songs.jsonl $work/sung/held-out.jsonl"
for level in 0 1 2; do
    # shellcheck disable=SC2086 # $played and $sung are two words each
    jukebox train vqvae $played $sung "$work/real/songs.jsonl" "$work/real/held-out.jsonl" \
        --model "$work/mini" --preset "$here/recipe.yaml" --level $level \
        --steps "$codec_steps" --batch "$batch" --learning-rate 1.5e-3 >"$work/vqvae-$level.log" 2>&1 &
    pids="$pids $!"
done
together

for songs in "$played" "$sung"; do
    # shellcheck disable=SC2086
    jukebox tokenize $songs --model "$work/mini" --out "$work/corpus" &
    pids="$pids $!"
done
together

for level in 0 1 2; do
    jukebox train prior "$work/corpus" --model "$work/mini" --level $level --steps "$steps" \
        --batch "$batch" --learning-rate 1.5e-3 >"$work/prior-$level.log" 2>&1 &
    pids="$pids $!"
done
together
echo "$work/mini"
