"""How much a level's loss on held-out songs changes with the precision of the weights.

    python benchmarks/precision_loss.py --songs HELD_OUT.jsonl... --work FOLDER [--model NAME]
        [--windows N] [--write FILE]

Every precision of the native engine measures the same windows, spread evenly over each song, with
the songs' conditions and true tokens of the level above. The tokens of the songs are kept in the
work folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
import torch
from lyric_loss import window_starts
from machine import machine_facts
from measurements import Row, add_output_arguments, mean_row, page, paired_rows, publish
from prior_inputs import condition_window, token_batch
from torch import Tensor
from torch.nn.functional import cross_entropy

from jukebox_cli.audio.manifest import load_recordings
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.engine.native import NativeWindow
from jukebox_cli.engine.native_weights import WEIGHT_FORMATS, NativePrior
from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.sampling import tokenize
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.corpus_songs import CorpusSong
from jukebox_cli.storage.model import Model, find_model

CPU = torch.device("cpu")
NOTES = "Bits per token, the mean over songs. Differences are per song, to fp32."


@dataclass(frozen=True)
class LevelLoss:
    """Measures the loss of one level with the native engine."""

    model: Model
    registry: Registry
    corpus: Corpus
    level: int
    max_windows: int

    def rows(self, songs: Sequence[CorpusSong]) -> list[Row]:
        """The loss of each precision, and how it differs from that of fp32."""
        prior = load_prior(self.model, self.level, self.registry, CPU, "fp32")
        packed = {name: NativePrior(prior, name) for name in WEIGHT_FORMATS}
        losses: dict[str, list[float]] = {name: [] for name in packed}
        for song in songs:
            print(f"level {self.level}: {song.name}", file=sys.stderr)
            windows = list(self._windows(prior, song))
            for name, weights in packed.items():
                bits = [window_bits(weights, *window) for window in windows]
                losses[name].append(sum(bits) / len(bits))
        rows = [mean_row(f"level {self.level}, {n}", "bits", bits) for n, bits in losses.items()]
        for name in [name for name in losses if name != "fp32"]:
            difference = f"level {self.level}, {name} minus fp32"
            rows += paired_rows(difference, "bits", losses[name], losses["fp32"])[:2]
        return rows

    @torch.inference_mode()
    def _windows(self, prior: Prior, song: CorpusSong) -> Iterator[tuple[Conditioning, Tensor]]:
        """The conditions and tokens (1, T) of windows of a song."""
        shape = prior_shape(self.model.config, self.level)
        conditioners = load_conditioners(self.model, self.level, self.registry)
        length, hop_length = shape.context_length, shape.hop_length
        tokens, upper = self._tokens(self.level, song), self._tokens(self.level + 1, song)
        ratio = self.corpus.token_grid.ratio(self.level)
        for start in window_starts(len(tokens), length, self.max_windows):
            window = Window(start * hop_length, length * hop_length, song.num_samples)
            upper_window = upper[start // ratio : (start + length) // ratio] if len(upper) else None
            conditions = condition_window(
                *(prior, conditioners, song.song, window, shape),
                None if upper_window is None else token_batch(upper_window, CPU),
            )
            yield conditions, token_batch(tokens[start : start + length], CPU)

    def _tokens(self, level: int, song: CorpusSong) -> np.ndarray:
        """The tokens (T,) of a song; none above the top level."""
        grid = self.corpus.token_grid
        if level > grid.top_level:
            return np.zeros(0, np.int64)
        factor = grid.tokens_per_top_token(level)
        return self.corpus.tokens(level)[song.start * factor :][: song.length * factor]


@torch.inference_mode()
def window_bits(weights: NativePrior, conditions: Conditioning, tokens: Tensor) -> float:
    """Bits per token of a window (1, T)."""
    window = NativeWindow(weights, conditions, tokens, 1)
    logits = torch.cat([window.logits(position) for position in range(tokens.shape[1])])
    return float(cross_entropy(logits, tokens[0])) / log(2)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--songs", nargs="+", type=Path, required=True, help="manifests")
    parser.add_argument("--work", type=Path, required=True, help="folder for the songs' tokens")
    parser.add_argument("--model", default="mini", help="name or folder of a model")
    parser.add_argument("--windows", type=int, default=3, help="of each song and level")
    add_output_arguments(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace) -> list[Row]:
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    model = find_model(args.model)
    recordings = load_recordings(registry, args.songs)
    held_out = [each for each in recordings if each.held_out] or recordings
    corpus = Corpus(args.work / "corpus")
    tokenize.to_corpus(held_out, model, load_codec(model, CPU), corpus)
    rows: list[Row] = []
    for level in reversed(range(len(model.config.priors))):
        rows += LevelLoss(model, registry, corpus, level, args.windows).rows(corpus.songs())
    return rows


def main() -> None:
    args, facts = parse_arguments(), machine_facts()
    try:
        rows = measure(args)
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    text = page("Precision of the weights", "precision_loss.py", lines, NOTES, rows)
    publish(args, facts, rows, text)


if __name__ == "__main__":
    main()
