"""Sampling and codec speed against the port of Jukebox in transformers 4.57.6.

    python benchmarks/against_port.py [--quick] [--json] [--write FILE]

Both programs sample the same shapes with the same random weights and conditions, and encode and
decode with the same codec, in turns, each with 1 and with all threads, of which the better counts.
`--quick` takes fewer rounds and half the audio: all of it takes about two minutes. It needs
`pip install transformers==4.57.6` and 14 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from codec_against_port import NUM_SAMPLES, CodecComparison, measure_codec
from machine import machine_facts
from measurements import Row, measure_in_turns, page, single_row, table
from random_upsampler import draw_weights, upsampler_config
from torch import Tensor
from transformers import JukeboxPriorConfig
from transformers.models.deprecated.jukebox import modeling_jukebox as port
from transformers.utils import logging

from jukebox_cli.engine.footprint import weight_bytes
from jukebox_cli.engine.machine import read_bandwidth
from jukebox_cli.engine.native import NativeEngine
from jukebox_cli.engine.native_weights import NativePrior
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import is_large
from jukebox_cli.model.prior import Prior

CODEBOOK_SIZE = 2048
NOTES = (
    "Random weights. Tokens per second of all rows together. The codec has the paper's size and is "
    "measured in multiples of real time. Medians, measured in turns."
)


@dataclass(frozen=True)
class Shape:
    """A prior to compare, and what of it to measure."""

    name: str
    width: int
    depth: int
    heads: int
    rows: int
    context_length: int
    num_tokens: int  # sampled in each round
    #: precision and batch size
    cases: tuple[tuple[str, int], ...]


SHAPES = {
    "small": Shape("width 256, depth 6", 256, 6, 2, 32, 1024, 192, (("fp32", 1), ("fp32", 16))),
    "large": Shape(
        *("upsampler of 0.82 G", 1920, 72, 1, 128, 8192, 8),
        (("fp32", 1), ("fp16", 1), ("int8", 1), ("fp16", 8)),
    ),
}
PARTS = (*SHAPES, "codec")
#: Parameters of a layer by their names in the port.
LAYER_NAMES = {
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "layer_norm_0": "attention_norm",
    "mlp.c_fc": "mlp_in",
    "mlp.c_proj": "mlp_out",
    "layer_norm_1": "mlp_norm",
}


def make_port(shape: Shape) -> port.JukeboxConditionalAutoregressive:
    """The port's autoregressive model with random weights."""
    config = JukeboxPriorConfig(
        hidden_size=shape.width,
        num_layers=shape.depth,
        n_heads=shape.heads,
        blocks=shape.rows,
        n_ctx=shape.context_length,
        music_vocab_size=CODEBOOK_SIZE,
        attention_pattern="raw_column_previous_row_attention",
        merged_decoder=False,
        nb_relevant_lyric_tokens=0,
    )
    with torch.device("meta"):  # initial weights would take long
        model = port.JukeboxConditionalAutoregressive(
            config, shape.context_length, CODEBOOK_SIZE, True, True
        )
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    model.fc_proj_out.weight = model.embed_tokens.weight  # tied again
    draw_weights(model)
    return model


def make_prior(shape: Shape, weights: Mapping[str, Tensor]) -> Prior:
    """This program's prior with the port's weights, which are shared."""
    config = upsampler_config(
        shape.width, shape.depth, shape.heads, shape.rows, shape.context_length
    )
    with torch.device("meta"):
        prior = Prior(config, CODEBOOK_SIZE, {})
    names = {
        "token_embedding.weight": "embed_tokens.weight",
        "position_embedding": "pos_emb.pos_emb",
    }
    for layer in range(shape.depth):
        for theirs, ours in LAYER_NAMES.items():
            for kind in ("weight", "bias"):
                ours_name = f"transformer.layers.{layer}.{ours}.{kind}"
                names[ours_name] = f"transformer._attn_mods.{layer}.{theirs}.{kind}"
    tensors = {ours: weights[theirs] for ours, theirs in names.items()}
    tensors["start_embedding"] = torch.zeros(shape.width)
    prior.load_state_dict(tensors, assign=True)
    return prior.eval()


class Comparison:
    """Both programs with one shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.port = shape, make_port(shape)
        self.prior = make_prior(shape, self.port.state_dict())
        self.native: dict[str, NativePrior] = {}
        rows = max(batch for _, batch in shape.cases)
        self.start = torch.randn(rows, shape.width)
        self.per_token = 0.1 * torch.randn(rows, shape.context_length, shape.width)

    def port_speed(self, batch: int, num_threads: int) -> float:
        torch.set_num_threads(num_threads)
        return self._speed(batch, lambda: self.port_tokens(batch, {}))

    def native_speed(self, precision: str, batch: int, num_threads: int) -> float:
        weights = self._packed(precision)
        weights.set_threads(num_threads)
        return self._speed(
            batch, lambda: self.native_tokens(precision, batch, SamplingParameters())
        )

    def port_tokens(self, batch: int, options: Mapping[str, Any]) -> Tensor:
        """Tokens (B, T) of the port's own sampling."""
        conditions = (self.per_token[:batch], self.start[:batch, None])
        tokens: Tensor = self.port.sample(
            batch, *conditions, sample_tokens=self.shape.num_tokens, **options
        )
        return tokens

    @torch.inference_mode()
    def native_tokens(self, precision: str, batch: int, parameters: SamplingParameters) -> Tensor:
        """Tokens (B, T) of the native engine."""
        conditions = Conditioning(start=self.start[:batch], per_token=self.per_token[:batch])
        tokens = torch.zeros(batch, self.shape.context_length, dtype=torch.long)
        engine, count = NativeEngine(self._packed(precision)), self.shape.num_tokens
        window = engine.open_window(conditions, tokens, batch, 0, 0)
        uniform = torch.rand(batch, count, dtype=torch.float64)
        window.sample(0, count, torch.zeros(batch, dtype=torch.long), uniform, parameters)
        return tokens[:, :count]

    def greedy_tokens_are_equal(self) -> bool:
        """Whether both programs choose the same most likely tokens, in fp32."""
        expected = self.port_tokens(1, {"top_k": 1})
        return torch.equal(expected, self.native_tokens("fp32", 1, SamplingParameters(greedy=True)))

    def _packed(self, precision: str) -> NativePrior:
        if precision not in self.native:
            self.native[precision] = NativePrior(self.prior, precision)
        return self.native[precision]

    def _speed(self, batch: int, sample: Callable[[], object]) -> float:
        start = time.perf_counter()
        sample()
        return batch * self.shape.num_tokens / (time.perf_counter() - start)


def measure_shape(shape: Shape, rounds: int) -> list[Row]:
    """Speeds of both programs, their ratios, and whether greedy tokens are equal."""
    both = Comparison(shape)
    threads = sorted({1, torch.get_num_threads()})
    batches = sorted({batch for _, batch in shape.cases})
    tasks: dict[str, Callable[[], float]] = {}
    for count in threads:
        for batch in batches:
            tasks[_case("port", "fp32", batch, count)] = partial(both.port_speed, batch, count)
        for precision, batch in shape.cases:
            speed = partial(both.native_speed, precision, batch, count)
            tasks[_case("native", precision, batch, count)] = speed
    rows = measure_in_turns(tasks, rounds, "tokens/s")
    torch.set_num_threads(max(threads))
    speeds = {row.name: row.value for row in rows}
    equal = single_row("greedy tokens equal", "", both.greedy_tokens_are_equal())
    rows += [*_ratios(shape, speeds, threads), equal]
    if is_large(both.prior):
        rows += _shares_of_the_read_limit(both, speeds, threads)
    return [replace(row, name=f"{shape.name}: {row.name}") for row in rows]


def _case(program: str, precision: str, batch: int, num_threads: int) -> str:
    return f"{program}, {precision}, batch {batch}, threads {num_threads}"


def _ratios(shape: Shape, speeds: Mapping[str, float], threads: Sequence[int]) -> list[Row]:
    """Native over port of each case, each at its best number of threads."""

    def best(program: str, precision: str, batch: int) -> float:
        return max(speeds[_case(program, precision, batch, count)] for count in threads)

    return [
        single_row(
            f"native {precision} over port, batch {batch}",
            "x",
            best("native", precision, batch) / best("port", "fp32", batch),
        )
        for precision, batch in shape.cases
    ]


def _shares_of_the_read_limit(
    both: Comparison, speeds: Mapping[str, float], threads: Sequence[int]
) -> list[Row]:
    """For one row: the bytes of weights that are read, over what the memory gives."""
    cpu = torch.device("cpu")
    limits = {count: read_bandwidth(cpu, count) for count in threads}
    rows = [
        single_row(f"read limit, threads {count}", "GB/s", limit / 1e9)
        for count, limit in limits.items()
    ]
    for precision in (precision for precision, batch in both.shape.cases if batch == 1):
        read = weight_bytes(both.prior, precision)
        for count, limit in limits.items():
            of_limit = speeds[_case("native", precision, 1, count)] * read / limit
            rows.append(single_row(f"share of it, {precision}, threads {count}", "", of_limit))
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="repetitions of each measurement")
    parser.add_argument("--quick", action="store_true", help="3 rounds, less audio")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS, help="only these")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    facts, rows = machine_facts(), []
    rounds = 3 if args.quick else args.rounds
    for part in args.part:
        shape = SHAPES.get(part)
        if shape:
            rows += measure_shape(shape, rounds)
        else:
            length = NUM_SAMPLES // 2 if args.quick else NUM_SAMPLES
            rows += measure_codec(rounds, CodecComparison(length=length))
    if args.json:
        print(json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=1))
    else:
        print(table(rows))
    if args.write:
        lines = [f"{name}: {fact}" for name, fact in facts.items()]
        text = page("Against the transformers port", "against_port.py", lines, NOTES, rows)
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
