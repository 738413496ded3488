#!/bin/sh
# Makes the built-in model: songs, codec, tokens, priors. Stop it at any time and start it again:
# every step goes on from where it was.
#
#     examples/mini/train.sh WORK_FOLDER [STEPS_OF_EACH_PRIOR]
#
# Needs `pip install .`, what examples/mini/README.md lists, and a Debian for real_music.py.
# On two cores it takes some six hours; more steps make it better. The model is WORK_FOLDER/mini.
set -eu
work=${1:?name a folder to work in}
steps=${2:-2000}
here=$(dirname "$0")
mkdir -p "$work"

python "$here/make_songs.py" --out "$work/songs" --minutes 300 --held-out 12 --seed 0
python "$here/make_songs.py" --out "$work/more-songs" --minutes 300 --held-out 0 --seed 1
python "$here/make_songs.py" --sung --out "$work/sung" --minutes 200 --held-out 24 --seed 2
python "$here/real_music.py" --out "$work/real"

# waits for all that run in the background, and fails if one of them did
together() {
    for process in $pids; do wait "$process"; done
    pids=
}

pids=
export OMP_NUM_THREADS=1 # the levels share nothing, so they train side by side
songs="$work/songs/songs.jsonl $work/songs/held-out.jsonl"
sung="$work/sung/songs.jsonl $work/sung/held-out.jsonl"
for level in 0 1 2; do
    case $level in 0) codec_steps=2000 ;; *) codec_steps=3000 ;; esac
    # shellcheck disable=SC2086 # $songs is two words
    jukebox train vqvae $songs "$work/real/songs.jsonl" "$work/real/held-out.jsonl" \
        --model "$work/plain" --preset mini-recipe --level $level \
        --steps $codec_steps --rate 1.5e-3 >"$work/vqvae-$level.log" 2>&1 &
    pids="$pids $!"
done
together

# shellcheck disable=SC2086
jukebox tokenize $songs "$work/more-songs/songs.jsonl" $sung --model "$work/plain" --out "$work/corpus"

# first what the music is like
for level in 0 1 2; do
    jukebox train prior "$work/corpus" --model "$work/plain" --level $level --steps "$steps" \
        --rate 1e-3 >"$work/prior-$level.log" 2>&1 &
    pids="$pids $!"
done
together

# then how it follows notes and words
more="--from $work/plain --model $work/mini --steps $((2 * steps)) --batch 4 --rate 8e-4"
midi="--add midi --set midi.width=64"
lyrics="--add lyrics --set lyrics.letters=96 --set lyrics.width=128 --set lyrics.depth=2
    --set lyrics.heads=2 --set lyrics.attention=0.5 --set lyrics.patterns=[dense] --set lyrics.share=0.1"
# shellcheck disable=SC2086
jukebox train prior "$work/corpus" --level 2 $more $midi $lyrics >"$work/sung-2.log" 2>&1 &
pids="$pids $!"
# shellcheck disable=SC2086
jukebox train prior "$work/corpus" --level 1 $more $midi >"$work/sung-1.log" 2>&1 &
pids="$pids $!"
together
echo "$work/mini"
