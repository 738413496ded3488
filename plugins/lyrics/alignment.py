"""When the words of a run are sung, from where a head of its prior looks (paper, section 4.4).

The head is the one that a model is known for, or else the one that follows the words of the run
itself best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jukebox_cli.api import InputError, Window
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.sampling.job import Job, audio_window
from jukebox_cli.sampling.level import window_conditioning

from .charset import EncodedText
from .hmm import (
    character_onsets,
    diagonality,
    log_likelihood_ratios,
    self_transition_probs,
    speedup,
)

if TYPE_CHECKING:
    from jukebox_cli.model.prior import Prior

    from . import Lyrics

Head = tuple[int, int]
#: Seconds of a frame in which a letter is looked for, at the least.
FRAME_SECONDS = 0.02


@dataclass(frozen=True)
class AlignmentContext:
    """What a prior that sings has at hand."""

    job: Job
    level: int
    lyrics: Lyrics
    prior: Prior

    @property
    def layers(self) -> list[int]:
        """Those that look at the words."""
        blocks = self.prior.transformer.layer_list()
        kind = "prefix" if self.lyrics.form == "prefix" else "cross_attention"
        return [n for n, block in enumerate(blocks) if block.attention.pattern == kind]


def lyrics_level(job: Job) -> tuple[int, Lyrics]:
    """The highest level that is told the words. InputError where none is."""
    for level in range(job.top_level, -1, -1):
        parts: dict[str, Any] = load_conditioners(job.model, level, job.registry)
        if "lyrics" in parts:
            return level, parts["lyrics"]
    raise InputError(
        f"model '{job.model.name}' was not told lyrics", "align a run of a model that sings"
    )


def require_alignable(job: Job, level: int, lyrics: Lyrics) -> None:
    """InputError for items that have no words, or no whole tokens."""
    for item in job.items:
        words, hint = f"item {item} of {job.run.path} has no lyrics", "choose others: --only"
        text, spelled = job.song(item).get("lyrics"), lyrics.encode_text(job.song(item))
        if not text:
            raise InputError(words, hint)
        if not any(text[origin].strip() for origin in spelled.origins):
            raise InputError(f"{words} in letters that the model knows", hint)
        if job.num_sampled_tokens(level, item) < job.num_tokens(level, item):
            what = f"item {item} of {job.run.path} is not whole at level {level}"
            raise InputError(what, "finish it with the command that began it")


@torch.inference_mode()
def find_head(sung: AlignmentContext) -> Head:
    """The layer and head that follow the words of the job's items best: of the first heads, if
    those were guided to follow in training."""
    guided = (
        1 if sung.lyrics.form == "cross_attention" and sung.lyrics.attention_loss_weight else None
    )
    scores: dict[Head, list[float]] = {}
    for item, layer in product(sung.job.items, sung.layers):
        for looks, told, _ in _attention_windows(sung, item, layer):
            for head, each in enumerate(looks[:guided]):
                scores.setdefault((layer, head), []).append(diagonality(each[:, told]))
    return max(scores, key=lambda head: float(np.mean(scores[head])))


@torch.inference_mode()
def align(sung: AlignmentContext, item: int, head: Head) -> dict[str, Any]:
    """The lines and words of an item with their times in seconds, as plain JSON."""
    song, spelled = sung.job.song(item), sung.lyrics.encode_text(sung.job.song(item))
    shape = prior_shape(sung.job.model.config, sung.level)
    frame = max(1, round(FRAME_SECONDS * shape.sample_rate / shape.hop_length))
    seconds = frame * shape.hop_length / shape.sample_rate
    looks, told = _attention_over_song(sung, item, head, frame, len(spelled.ids))
    whole = Window(0, 0, sung.job.num_samples(item))
    length = sung.lyrics.total_samples(song, whole, shape) / shape.sample_rate
    even = seconds * np.arange(len(looks) + 1) / length  # shares of the song
    ends = np.array([song["lyrics"][origin] == "\n" for origin in spelled.origins], bool)
    usual = seconds * speedup(ends, length)  # what a frame would last in a song of a usual pace
    scores = log_likelihood_ratios(looks, told, even[:-1] * len(spelled.ids))
    found = character_onsets(
        scores, self_transition_probs(ends, usual), even[-1] * (len(spelled.ids) + 1), usual
    )
    found = np.where(found >= 0, found * seconds, -1)
    times = _times_of_text(found[1:-1], spelled, song["lyrics"])
    last = min(sung.job.num_samples(item) / shape.sample_rate, len(looks) * seconds)
    end = float(found[-1]) if found[-1] >= 0 else last
    return {
        "format": 1,
        "item": item,
        "level": sung.level,
        "layer": head[0],
        "head": head[1],
        "lines": lines(song["lyrics"], times, end, song.get("lyrics_sections") or ()),
    }


def _attention_over_song(
    sung: AlignmentContext, item: int, head: Head, frame: int, letters: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a head looks at in every frame of so many tokens, (T, L), and which letters it could
    look at there, bool (T, L)."""
    tokens = sung.job.num_tokens(sung.level, item)
    looks = np.zeros((-(-tokens // frame), letters), np.float32)
    told = np.zeros(looks.shape, bool)
    frames = np.arange(tokens) // frame
    first = 0
    for each, slots, place in _attention_windows(sung, item, head[0]):
        there = frames[first : first + each.shape[1]]
        np.add.at(looks[:, place], there, each[head[1]][:, slots])
        told[there, place] = True
        first += len(there)
    return looks / np.bincount(frames)[:, None], told


def _attention_windows(
    sung: AlignmentContext, item: int, layer: int
) -> Iterator[tuple[np.ndarray, slice, slice]]:
    """For each window, where the heads look from its new tokens (H, T, S), which of S are letters,
    and which letters of the item these are."""
    job, level, prior = sung.job, sung.level, sung.prior
    tokens = job.run.read_tokens(level, item)
    assert tokens is not None
    song, shape = job.song(item), prior_shape(job.model.config, level)
    spelled = sung.lyrics.encode_text(song)
    conditions = window_conditioning(job, level, prior, [(item, song)])
    for stretch in job.token_windows(level, item, 0):
        codes = torch.from_numpy(tokens.tokens[stretch.start : stretch.end])[None]
        looks = prior.attention_weights(
            codes.to(prior.position_embedding.device), conditions(stretch), layer
        )[0]
        place = sung.lyrics.text_window(
            song, spelled, audio_window(job, level, item, stretch), shape
        )
        told = slice(place.slot, place.slot + place.end - place.start)
        new = looks[:, stretch.sample_from - stretch.start :].float().cpu().numpy()
        yield new, told, slice(place.start, place.end)


def _times_of_text(times: np.ndarray, spelled: EncodedText, text: str) -> np.ndarray:
    """Times of spelled letters as those of the text's; -1 where a letter has none."""
    whole = np.full(len(text), -1.0)
    for time, origin in zip(times[::-1], spelled.origins[::-1], strict=True):
        whole[origin] = time
    return whole


def lines(
    text: str, times: np.ndarray, end: float, sections: Sequence[Sequence[Any]]
) -> list[dict[str, Any]]:
    """Lines, words and the sections they stand in; what is not sung has no times."""
    found: list[dict[str, Any]] = []
    named = {int(letter): name for letter, name in sections}
    place = 0
    for line in text.split("\n"):
        if place in named:
            found.append({"section": named[place]})
        if line.strip():
            found.append(_line(line, place, times, end))
        place += len(line) + 1
    return found


def _line(line: str, place: int, times: np.ndarray, end: float) -> dict[str, Any]:
    words, at = [], 0
    for word in line.split():
        at = line.index(word, at)
        words.append({"word": word, **_span(times, place + at, place + at + len(word), end)})
        at += len(word)
    timed = [word for word in words if "start" in word]
    whole = {"start": timed[0]["start"], "end": timed[-1]["end"]} if timed else {}
    return {"text": line.strip(), **whole, "words": words}


def _span(times: np.ndarray, first: int, last: int, end: float) -> dict[str, float]:
    """From when to when letters `first` .. `last` are sung."""
    mine = times[first:last]
    if not (mine >= 0).any():
        return {}
    later = times[last:]
    until = later[later >= 0][0] if (later >= 0).any() else end
    start = float(mine[mine >= 0][0])
    return {"start": round(start, 3), "end": round(max(start, float(until)), 3)}


def lrc(found: dict[str, Any], words: bool) -> str:
    """An alignment as an LRC file, with times of lines alone or of words too."""
    rows = []
    for line in found["lines"]:
        if "start" in line:
            text = _timed_words(line) if words else line["text"]
            rows.append(f"[{lrc_time(line['start'])}]{text}")
    return "\n".join(rows) + "\n"


def _timed_words(line: dict[str, Any]) -> str:
    words = list(line["words"])
    while "start" not in words[-1]:  # the song ends before them
        words.pop()
    parts = [f"<{lrc_time(w['start'])}>{w['word']}" if "start" in w else w["word"] for w in words]
    return f"{' '.join(parts)}<{lrc_time(line['end'])}>"


def lrc_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes:02}:{rest // 100:02}.{rest % 100:02}"
