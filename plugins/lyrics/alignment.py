"""When each word of a run is sung, from the attention weights of one head of its prior.

The head is the one known for the model, or else the one whose attention follows the lyrics of the
run best. Source: Dhariwal et al. 2020, "Lyrics Conditioning", which shows such a head.

Shapes: H heads, T tokens or frames of several tokens, L characters of the text, S of a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from jukebox_cli.api import InputError, PriorShape, Window
from jukebox_cli.api.files import FORMAT
from jukebox_cli.api.models import Model, iterate_windows, load_conditioners, prior_shape
from jukebox_cli.api.runs import OpenRun, RunItem

from .charset import EncodedText
from .hmm import (
    character_onsets,
    diagonality,
    log_likelihood_ratios,
    self_transition_probs,
    speedup,
)

if TYPE_CHECKING:
    from jukebox_cli.api.nn import Prior

    from .conditioner import Lyrics

Head = tuple[int, int]  # layer, head
#: Shortest frame of the alignment in seconds; it is at least one token.
FRAME_SECONDS = 0.02


@dataclass(frozen=True)
class AlignmentContext:
    """A run, and the model, level, conditioner and prior that its lyrics were sung with."""

    run: OpenRun
    model: Model
    level: int
    lyrics: Lyrics
    prior: Prior

    @property
    def layers(self) -> list[int]:
        """The layers that attend to the lyrics."""
        layers = self.prior.transformer.layer_list()
        return [n for n, layer in enumerate(layers) if layer.attention.pattern == self.lyrics.form]

    @property
    def shape(self) -> PriorShape:
        return prior_shape(self.model.config, self.level)

    def encoded(self, item: RunItem) -> EncodedText:
        """An item's lyrics in the model's characters."""
        return self.lyrics.encode_text(item.song)

    def num_tokens(self, item: RunItem) -> int:
        """Tokens of an item at this level."""
        tokens = self.run.read_tokens(self.level, item)
        assert tokens is not None
        return tokens.num_tokens


class AttentionWindow(NamedTuple):
    """The attention weights of one window's newly sampled tokens."""

    weights: np.ndarray  # (H, T, S)
    slots: slice  # which of the S positions hold characters
    characters: slice  # which characters of the encoded text these are


def lyrics_level(run: OpenRun, model: Model) -> tuple[int, Lyrics]:
    """The highest level with a lyrics conditioner, and that conditioner.

    Raises InputError if no level has one.
    """
    for level in range(run.num_levels - 1, -1, -1):
        conditioners: dict[str, Any] = load_conditioners(model, level, run.registry)
        if "lyrics" in conditioners:
            return level, conditioners["lyrics"]
    raise InputError(f"model '{model.name}' takes no lyrics", "align a run of a model that does")


def require_alignable(run: OpenRun, level: int, lyrics: Lyrics) -> None:
    """Raise InputError for items without lyrics or with missing tokens."""
    for item in run.items:
        name = f"item {item.number} of {run.path}"
        text, encoded = item.song.get("lyrics"), lyrics.encode_text(item.song)
        if not text:
            raise InputError(f"{name} has no lyrics", "choose other items: --only")
        if not any(text[origin].strip() for origin in encoded.origins):
            raise InputError(
                f"{name} has no lyrics in the model's charset", "choose other items: --only"
            )
        tokens = run.read_tokens(level, item)
        if tokens is None or not tokens.is_complete:
            raise InputError(
                f"{name} is not complete at level {level}",
                "finish it with the command that began it",
            )


@torch.inference_mode()
def find_head(context: AlignmentContext) -> Head:
    """The layer and head whose attention is most diagonal, averaged over the run's items.

    Only the first head of each layer is considered if training guided it to follow the lyrics.
    """
    lyrics = context.lyrics
    guided = lyrics.form == "cross_attention" and bool(lyrics.attention_loss_weight)
    scores: dict[Head, list[float]] = {}
    for item, layer in product(context.run.items, context.layers):
        for window in _attention_windows(context, item, layer):
            for head, weights in enumerate(window.weights[: 1 if guided else None]):
                score = diagonality(weights[:, window.slots])
                scores.setdefault((layer, head), []).append(score)
    return max(scores, key=lambda head: float(np.mean(scores[head])))


@torch.inference_mode()
def align(context: AlignmentContext, item: RunItem, head: Head) -> dict[str, Any]:
    """The alignment of an item as plain JSON: its lines and words with times in seconds."""
    song, encoded = item.song, context.encoded(item)
    onsets = _onset_seconds(context, item, head)
    end = float(onsets[-1]) if onsets[-1] >= 0 else _end_of_item(context, item)
    by_character = _onsets_by_character(onsets[1:-1], encoded, song["lyrics"])
    sections = song.get("lyrics_sections") or ()
    return {
        "format": FORMAT,
        "item": item.number,
        "level": context.level,
        "layer": head[0],
        "head": head[1],
        "lines": timed_lines(song["lyrics"], by_character, end, sections),
    }


def _tokens_per_frame(shape: PriorShape) -> int:
    return max(1, round(FRAME_SECONDS * shape.sample_rate / shape.hop_length))


def _end_of_item(context: AlignmentContext, item: RunItem) -> float:
    """The end of the item's audio or of its last frame, whichever is earlier, in seconds."""
    shape = context.shape
    tokens_per_frame = _tokens_per_frame(shape)
    num_frames = -(-context.num_tokens(item) // tokens_per_frame)
    frame_seconds = tokens_per_frame * shape.hop_length / shape.sample_rate
    return min(item.num_samples / shape.sample_rate, num_frames * frame_seconds)


def _onset_seconds(context: AlignmentContext, item: RunItem, head: Head) -> np.ndarray:
    """Onset of each HMM state (silence, L characters, silence) in seconds, -1 if not reached."""
    shape, encoded = context.shape, context.encoded(item)
    tokens_per_frame = _tokens_per_frame(shape)
    frame_seconds = tokens_per_frame * shape.hop_length / shape.sample_rate
    attention, visible = _attention_of_item(context, item, head, tokens_per_frame)
    song_seconds = _song_seconds(context, item)
    elapsed = frame_seconds * np.arange(len(attention) + 1) / song_seconds  # 0 to 1
    text = item.song["lyrics"]
    line_ends = np.array([text[origin] == "\n" for origin in encoded.origins], bool)
    # in a song that is sung faster than expected, a frame counts for longer
    scaled_seconds = frame_seconds * speedup(line_ends, song_seconds)
    onsets = character_onsets(
        log_likelihood_ratios(attention, visible, elapsed[:-1] * len(encoded.ids)),
        self_transition_probs(line_ends, scaled_seconds),
        elapsed[-1] * (len(encoded.ids) + 1),
        scaled_seconds,
    )
    return np.where(onsets >= 0, onsets * frame_seconds, -1)


def _song_seconds(context: AlignmentContext, item: RunItem) -> float:
    """The length of the song, of which the item may be only the beginning."""
    whole = Window(0, 0, item.num_samples)
    samples = context.lyrics.total_samples(item.song, whole, context.shape)
    return samples / context.shape.sample_rate


def _attention_of_item(
    context: AlignmentContext, item: RunItem, head: Head, tokens_per_frame: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean attention weights of each frame, (T, L), and which characters it saw, bool (T, L)."""
    layer, number = head
    num_tokens = context.num_tokens(item)
    frame_of_token = np.arange(num_tokens) // tokens_per_frame
    num_frames = -(-num_tokens // tokens_per_frame)
    attention = np.zeros((num_frames, len(context.encoded(item).ids)), np.float32)
    visible = np.zeros(attention.shape, bool)
    first = 0
    for window in _attention_windows(context, item, layer):
        covered = frame_of_token[first : first + window.weights.shape[1]]
        np.add.at(attention[:, window.characters], covered, window.weights[number][:, window.slots])
        visible[covered, window.characters] = True
        first += len(covered)
    return attention / np.bincount(frame_of_token)[:, None], visible


def _attention_windows(
    context: AlignmentContext, item: RunItem, layer: int
) -> Iterator[AttentionWindow]:
    """The attention weights of a layer, window by window as the item was sampled."""
    encoded, prior = context.encoded(item), context.prior
    for window in iterate_windows(context.run, context.model, context.level, item, prior):
        weights = prior.attention_weights(window.tokens, window.conditioning, layer)[0]
        sampled = weights[:, window.num_prompt :].float().cpu().numpy()
        seen = context.lyrics.text_window(item.song, encoded, window.window, context.shape)
        slots = slice(seen.slot, seen.slot + seen.end - seen.start)
        yield AttentionWindow(sampled, slots, slice(seen.start, seen.end))


def _onsets_by_character(onsets: np.ndarray, encoded: EncodedText, text: str) -> np.ndarray:
    """Onsets of encoded characters as those of the text's characters; -1 where there is none."""
    by_character = np.full(len(text), -1.0)
    for onset, origin in zip(onsets[::-1], encoded.origins[::-1], strict=True):
        by_character[origin] = onset
    return by_character


def timed_lines(
    text: str, onsets: np.ndarray, end: float, sections: Sequence[Sequence[Any]]
) -> list[dict[str, Any]]:
    """Lines and words with their times, and the names of sections between them.

    onsets: of each character of the text in seconds, -1 if it is not sung; end: of the last word.
    Lines and words that are not sung have no `start` and `end`.
    """
    lines: list[dict[str, Any]] = []
    names = {int(character): name for character, name in sections}
    first = 0
    for line in text.split("\n"):
        if first in names:
            lines.append({"section": names[first]})
        if line.strip():
            lines.append(_timed_line(line, first, onsets, end))
        first += len(line) + 1
    return lines


def _timed_line(line: str, first: int, onsets: np.ndarray, end: float) -> dict[str, Any]:
    words: list[dict[str, Any]] = []
    at = 0
    for word in line.split():
        at = line.index(word, at)
        times = _times(onsets, first + at, first + at + len(word), end)
        words.append({"word": word, **times})
        at += len(word)
    sung = [word for word in words if "start" in word]
    span = {"start": sung[0]["start"], "end": sung[-1]["end"]} if sung else {}
    return {"text": line.strip(), **span, "words": words}


def _times(onsets: np.ndarray, first: int, last: int, end: float) -> dict[str, float]:
    """Start and end of the characters from `first` up to `last`; empty if none is sung."""
    own = onsets[first:last]
    if not (own >= 0).any():
        return {}
    later = onsets[last:]
    until = later[later >= 0][0] if (later >= 0).any() else end
    start = float(own[own >= 0][0])
    return {"start": round(start, 3), "end": round(max(start, float(until)), 3)}
