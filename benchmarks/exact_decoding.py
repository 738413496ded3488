"""What it pays to sample several positions per pass, with guesses that are checked.

    python benchmarks/exact_decoding.py [MODEL | --preset NAME] [--seconds 6] [--no-large]
        [--quick] [--json FILE] [--write FILE]

Samples a song, and then each of its windows again with several positions per pass (see
`engine/lookahead.py`): how many tokens a pass gives, and tokens per second over those of one
position per pass. Both with the song's sampling options and from the model's own distribution
(temperature 1). Then what a pass over several positions costs at the size of a published upsampler,
with random weights, whose guesses would tell nothing: all are right there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import machine_facts
from measurements import (
    Row,
    add_output_arguments,
    measure_in_turns,
    page,
    publish,
    single_row,
)
from random_upsampler import draw_weights, upsampler_config
from torch import Tensor

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.engine.native import NativeEngine, NativeWindow
from jukebox_cli.engine.native_weights import NativePrior
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import load_installed
from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.request import build_request
from jukebox_cli.sampling.rng import uniform_numbers
from jukebox_cli.sampling.run_setup import create_run, start_job
from jukebox_cli.sampling.sampler import LevelSampler
from jukebox_cli.storage.run import Run

#: Positions per pass.
LOOKAHEADS = (1, 2, 3, 4, 6, 8, 16)
#: Positions that are sampled per call, as while making a song.
CALL = 32
NOTES = (
    "Tokens per pass are exact: they depend on the model and the song, not on the machine. Speeds "
    "are medians, measured in turns."
)
#: The upsamplers of the published models.
LARGE = upsampler_config(1920, 72, 1, 128, 8192)


@dataclass(frozen=True)
class SongWindow:
    """A window of a song, ready to be sampled again."""

    weights: NativePrior
    conditions: Conditioning
    known: Tensor  # (1, T) int64, the song's tokens
    num_primed: int
    uniform: Tensor  # (1, T - num_primed) float64
    parameters: SamplingParameters

    @torch.inference_mode()
    def sample(self, parameters: SamplingParameters, lookahead: int) -> tuple[Tensor, int, float]:
        """The tokens (1, T), how many passes they took, and the seconds."""
        tokens = self.known.clone()
        tokens[:, self.num_primed :] = 0
        window = NativeWindow(self.weights, self.conditions, tokens, 1)
        window.prefill(self.num_primed)
        start_from, total = torch.tensor([self.num_primed]), 0
        started = time.perf_counter()
        for first in range(self.num_primed, tokens.shape[1], CALL):
            end = min(first + CALL, tokens.shape[1])
            uniform = self.uniform[:, first - self.num_primed : end - self.num_primed]
            total += window.sample_ahead(first, end, start_from, uniform, parameters, lookahead)[1]
        return tokens, total, time.perf_counter() - started


def song_windows(job: Job, level: int) -> Iterator[SongWindow]:
    """The windows of item 0 at a level."""
    prior = load_prior(job.model, level, job.registry, torch.device("cpu"))
    sampler = LevelSampler(level, prior, job.make_samplers(level, job.specs[0].segments[-1]))
    weights = NativePrior(prior, "fp16")
    sampler = replace(sampler, chosen_engine=NativeEngine(weights))
    parameters = sampler.fused_parameters
    assert parameters, "the native engine has these samplers"
    conditioned = ConditionedItem(0, job.song(0), job.num_samples(0))
    conditioner = SongConditioner(job, level, prior, [conditioned])
    tokens = job.run.read_tokens(level, 0)
    assert tokens is not None
    for window in job.token_windows(level, 0):
        numbers = uniform_numbers(job.seed(0), 0, level, window.sample_from, window.end)
        yield SongWindow(
            weights,
            conditioner.conditioning(window),
            torch.from_numpy(tokens[None, window.start : window.end]),
            window.sample_from - window.start,
            torch.from_numpy(numbers)[None],
            parameters,
        )


def measure_level(job: Job, level: int, rounds: int) -> list[Row]:
    """Tokens per pass and speeds over that of one position per pass, for both distributions."""
    windows = list(song_windows(job, level))
    own = measure_windows(f"level {level}, as sampled", windows, None, rounds)
    model = SamplingParameters()
    return own + measure_windows(f"level {level}, temperature 1", windows, model, rounds)


def measure_windows(
    name: str, windows: Sequence[SongWindow], parameters: SamplingParameters | None, rounds: int
) -> list[Row]:
    """Rows of each number of positions. Parameters: None for the song's own, whose tokens must come
    out again."""
    passes: dict[int, int] = {}

    def seconds(lookahead: int) -> float:
        results = [each.sample(parameters or each.parameters, lookahead) for each in windows]
        if parameters is None:
            pairs = zip(windows, results, strict=True)
            assert all(torch.equal(tokens, each.known) for each, (tokens, *_) in pairs)
        passes[lookahead] = sum(count for _, count, _ in results)
        return sum(duration for *_, duration in results)

    tasks: dict[str, Callable[[], float]] = {str(n): partial(seconds, n) for n in LOOKAHEADS}
    times = {row.name: row.value for row in measure_in_turns(tasks, rounds, "s")}
    number = sum(window.uniform.shape[1] for window in windows)
    rows = []
    for n in LOOKAHEADS[1:]:
        title, faster = f"{name}, {n} positions", times["1"] / times[str(n)]
        rows.append(single_row(f"{title}: tokens per pass", "", number / passes[n], number))
        rows.append(single_row(f"{title}: speed over one position", "x", faster, number))
    return rows


def make_song(args: argparse.Namespace, folder: Path) -> Job:
    """Samples a song with all levels."""
    registry = load_installed(lambda message: None)
    song: dict[str, Any] = {"seconds": args.seconds, "conditions": {}, "sampler_options": {}}
    request = build_request(registry, args.preset, [], model=args.model, **song)
    job = replace(start_job(request, registry, folder, "song"), engine="native")
    create_run(job)
    for level in range(job.top_level, -1, -1):
        print(f"level {level}", file=sys.stderr)
        run = Run(job.run.path)
        job = replace(job, run=run, specs=run.read_items(job.items))
        sample_level(job, level)
    return job


def random_prior(config: PriorConfig, codebook_size: int) -> Prior:
    """A prior with random weights in fp16."""
    with torch.device("meta"):
        prior = Prior(config, codebook_size, {})
    prior = prior.half().to_empty(device="cpu").requires_grad_(False).eval()
    draw_weights(prior)
    return prior


def measure_large(config: PriorConfig, rounds: int, num_threads: int) -> list[Row]:
    """What a pass over several positions costs, over one position."""
    prior = random_prior(config, 2048)
    weights = NativePrior(prior, "fp16", num_threads)
    prior.transformer.to("meta")
    conditions = Conditioning(per_token=0.1 * torch.randn(1, config.context_length, config.width))

    @torch.inference_mode()
    def seconds_per_pass(lookahead: int) -> float:
        count = 2 * lookahead
        tokens = torch.zeros(1, config.context_length, dtype=torch.int64)
        window = NativeWindow(weights, conditions, tokens, 1)
        known, uniform = torch.tensor([count]), torch.zeros(1, count, dtype=torch.float64)
        started = time.perf_counter()
        _, passes = window.sample_ahead(0, count, known, uniform, SamplingParameters(), lookahead)
        return (time.perf_counter() - started) / passes

    tasks: dict[str, Callable[[], float]] = {
        str(n): partial(seconds_per_pass, n) for n in LOOKAHEADS
    }
    rows = {row.name: row for row in measure_in_turns(tasks, rounds, "s")}
    return [
        single_row(
            f"upsampler of 0.82 G, fp16: a pass over {n} positions over one",
            "x",
            rows[str(n)].value / rows["1"].value,
            rounds,
        )
        for n in LOOKAHEADS[1:]
    ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", help="a model, by default that of the preset")
    parser.add_argument("--preset", default="rock")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each measurement")
    parser.add_argument("--no-large", action="store_true", help="only the model")
    parser.add_argument("--quick", action="store_true", help="1 round")
    add_output_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    facts, rounds = machine_facts(), 1 if args.quick else args.rounds
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        job = make_song(args, Path(folder) / "run")
        for level in range(job.top_level):  # the top level is guided: two rows
            rows += measure_level(job, level, rounds)
    if not args.no_large:
        rows += measure_large(LARGE, rounds, torch.get_num_threads())
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    publish(
        args, facts, rows, page("Exact parallel decoding", "exact_decoding.py", lines, NOTES, rows)
    )


if __name__ == "__main__":
    main()
