"""Times of words, from the attention weights of a run's prior."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jukebox_plugins.lyrics.alignment import (
    AlignmentContext,
    align,
    find_head,
    lyrics_level,
    timed_lines,
)
from jukebox_plugins.lyrics.lrc import alignment_to_lrc
from jukebox_plugins.lyrics.text import parse_lyrics

from jukebox_cli.api.models import iterate_windows, load_prior
from jukebox_cli.api.runs import open_run
from jukebox_cli.registry import Registry
from support.singing_model import make_singing_model
from support.sung_lines import SUNG_LINES

# lines and words


def test_words_that_are_not_sung_have_no_times() -> None:
    onsets = np.array([-1, -1, -1, 0.5, 0.7, 1.0, 1.2, 1.3, 1.5, 2.0, -1, -1, -1])
    assert timed_lines("we go\nfar off", onsets, 4.0, [[6, "Verse"]]) == SUNG_LINES


def test_an_alignment_is_read_back_from_its_lrc() -> None:
    text = "we go\nfar off"
    lines = timed_lines(text, np.arange(13) / 2, 9.0, [])
    values = parse_lyrics(alignment_to_lrc({"lines": lines}, word_times=True))
    assert values["lyrics"] == text
    assert dict(map(tuple, values["lyrics_times"]))[6] == 3.0


# a run

TEXT = "we go far\nwe go far away\nfar off we go"


@pytest.fixture(params=["cross_attention", "prefix"])
def context(
    request: pytest.FixtureRequest,
    here: Path,
    registry: Registry,
    jukebox: Callable[..., Any],
) -> AlignmentContext:
    """A run of two seconds."""
    model = make_singing_model(here / "singer", registry, request.param)
    options = ("--lyrics", TEXT, "--seconds", 2, "--until", "top", "-q")
    assert jukebox("generate", "--model", model.path, "--out", "run", *options).code == 0
    run = open_run(registry, here / "run")
    level, lyrics = lyrics_level(run, model)
    prior = load_prior(model, level, registry, torch.device("cpu"))
    return AlignmentContext(run, model, level, lyrics, prior)


def attend_evenly(context: AlignmentContext, head: int) -> Callable[..., torch.Tensor]:
    """Attention weights of a prior in which one head attends to evenly spread characters."""
    run, model, level, lyrics = context.run, context.model, context.level, context.lyrics
    (item,) = run.items
    characters_per_token = len(TEXT) / context.num_tokens(item)
    upcoming = cycle([w.window for w in iterate_windows(run, model, level, item, context.prior)])

    def attention_weights(tokens: torch.Tensor, conditions: object, layer: int) -> torch.Tensor:
        window = next(upcoming)
        seen = lyrics.text_window(item.song, context.encoded(item), window, context.shape)
        start = window.start // context.shape.hop_length
        weights = torch.zeros(1, 2, tokens.shape[1], lyrics.max_characters)
        for n in range(tokens.shape[1]):
            character = int((start + n) * characters_per_token)
            if seen.start <= character < seen.end:
                weights[0, head, n, seen.slot + character - seen.start] = 1.0
        return weights

    return attention_weights


def test_words_begin_where_a_head_attends_to_them(
    context: AlignmentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context.prior, "attention_weights", attend_evenly(context, head=1))
    (item,) = context.run.items
    alignment = align(context, item, (1, 1))
    starts = [w["start"] for line in alignment["lines"] for w in line["words"]]
    shape = context.shape
    seconds = context.num_tokens(item) * shape.hop_length / shape.sample_rate
    expected = [match.start() * seconds / len(TEXT) for match in re.finditer(r"\S+", TEXT)]
    assert starts == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("head", [0, 1])
def test_the_most_diagonal_head_is_found(
    context: AlignmentContext, head: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a cross-attention layer only the first, which training guides, is considered."""
    monkeypatch.setattr(context.prior, "attention_weights", attend_evenly(context, head))
    expected = 0 if context.lyrics.form == "cross_attention" else head
    assert find_head(context) == (1, expected)
