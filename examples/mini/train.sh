#!/bin/sh
# Makes a model like the built-in one from nothing: songs, codec, decoders, tokens, priors. It can be
# stopped and started again at any time; finished steps are skipped and training resumes.
#
#     examples/mini/train.sh WORK_FOLDER [PRIOR_STEPS [AUTOENCODER_STEPS [DECODER_STEPS]]]
#
# The model is WORK_FOLDER/mini. Steps are those of each level; 0 DECODER_STEPS leave the decoders as
# they were trained with their encoders. The environment variables MINUTES (of music of either kind,
# 600), BATCH (examples per step, 64) and JOBS (processes that render songs, 1) change the amount of
# work. The defaults are for a GPU, where training takes a quarter of an hour; songs and tokens take an
# hour on two CPU cores. Without a GPU, BATCH=4 and 4000 steps of each take about five hours on two
# cores and give a worse model. MINUTES=10 and a few steps show that everything works.
#
# Needs `pip install .`, what examples/mini/README.md lists, and a Debian for real_music.py.
set -eu
work=${1:?name a folder to work in}
steps=${2:-6000}
codec_steps=${3:-2500}
decoder_steps=${4:-3000}
minutes=${MINUTES:-600}
batch=${BATCH:-64}
jobs=${JOBS:-1}
here=$(dirname "$0")
mkdir -p "$work"

python "$here/make_songs.py" --out "$work/songs" --minutes "$minutes" --held-out 24 --seed 0 \
    --jobs "$jobs"
python "$here/make_songs.py" --sung --out "$work/sung" --minutes "$minutes" --held-out 24 --seed 2 \
    --jobs "$jobs"
python "$here/real_music.py" --out "$work/real"

# Waits for all background processes; fails if one of them failed.
wait_for_all() {
    for process in $pids; do wait "$process"; done
    pids=
}

pids=
export OMP_NUM_THREADS=1 # levels are independent, so they are trained side by side
instrumental="$work/songs/songs.jsonl $work/songs/held-out.jsonl"
sung="$work/sung/songs.jsonl $work/sung/held-out.jsonl"
for level in 0 1 2; do
    # what trained the decoder on would be undone
    if [ -e "$work/mini/train/decoder-$level.safetensors" ]; then continue; fi
    # shellcheck disable=SC2086 # $instrumental and $sung are two file names each
    jukebox train vqvae $instrumental $sung "$work/real/songs.jsonl" "$work/real/held-out.jsonl" \
        --model "$work/mini" --preset "$here/recipe.yaml" --level $level --steps "$codec_steps" \
        --batch "$batch" --learning-rate 1.5e-3 >"$work/vqvae-$level.log" 2>&1 &
    pids="$pids $!"
done
wait_for_all

if [ "$decoder_steps" -gt 0 ]; then
    for level in 0 1 2; do
        # shellcheck disable=SC2086
        jukebox train vqvae $instrumental $sung "$work/real/songs.jsonl" "$work/real/held-out.jsonl" \
            --model "$work/mini" --level $level --adversarial --steps "$decoder_steps" \
            --batch 16 --crop 0.5 --adversarial-start "$((decoder_steps / 5))" \
            >"$work/decoder-$level.log" 2>&1 &
        pids="$pids $!"
    done
    wait_for_all
fi

for songs in "$instrumental" "$sung"; do
    # shellcheck disable=SC2086
    jukebox tokenize $songs --model "$work/mini" --out "$work/corpus" &
    pids="$pids $!"
done
wait_for_all

for level in 0 1 2; do
    jukebox train prior "$work/corpus" --model "$work/mini" --level $level --steps "$steps" \
        --batch "$batch" --learning-rate 1.5e-3 >"$work/prior-$level.log" 2>&1 &
    pids="$pids $!"
done
wait_for_all
echo "$work/mini"
