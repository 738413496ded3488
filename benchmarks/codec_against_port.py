"""The codec against the port's, at the paper's size: a part of against_port.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from codec_speed import codec_tasks, real_time_factor
from measurements import Row, measure_in_turns, single_row
from torch import Tensor, nn
from transformers import JukeboxVQVAEConfig
from transformers.models.deprecated.jukebox import modeling_jukebox as port

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.engine.native_codec import NativeCodec
from jukebox_cli.model.codec import decode
from jukebox_cli.model.vqvae import VQVAE

#: Samples that are encoded and decoded: 1.5 s, whole tokens of the top level.
NUM_SAMPLES = 1 << 16
PAPER = VQVAEConfig()


def make_codecs(config: VQVAEConfig = PAPER) -> tuple[port.JukeboxVQVAE, VQVAE]:
    """The port's codec and this program's with the same weights: the default random ones, and codes
    that are latents of noise."""
    ours = VQVAE(config).eval()
    theirs = port.JukeboxVQVAE(port_config(config)).eval()
    noise = torch.from_numpy(make_audio(NUM_SAMPLES // 4))[None, None]
    with torch.no_grad():
        for number in range(config.num_levels):
            level = ours.level(number)
            copies = [theirs.encoders[number], theirs.decoders[number]]
            for network, copy in zip((level.encoder, level.decoder), copies, strict=True):
                pairs = zip(network.parameters(), _port_weights(copy), strict=True)
                for our_weight, their_weight in pairs:
                    their_weight.copy_(our_weight)
            level.codebook.initialize_from_batch(level.encoder(noise), torch.Generator())
            theirs.bottleneck.level_blocks[number].codebook.copy_(level.codebook.vectors)
    return theirs, ours


def port_config(config: VQVAEConfig) -> JukeboxVQVAEConfig:
    """The same shape for the port, whose lowest level may be wider and deeper by a factor."""
    least = min(config.widths)
    return JukeboxVQVAEConfig(
        levels=config.num_levels,
        multipliers=[width // least for width in config.widths],
        res_conv_width=least,
        res_conv_depth=min(config.depths),
        res_downs_t=[len(strides) for strides in config.strides],
        res_strides_t=[strides[0] for strides in config.strides],
        res_dilation_growth_rate=config.dilation_growth_rate,
        embed_dim=config.embedding_dim,
        nb_discrete_codes=config.codebook_size,
        sample_length=NUM_SAMPLES,
    )


def make_audio(length: int) -> np.ndarray:
    """Noise (N,)."""
    return 0.1 * np.random.default_rng(0).standard_normal(length).astype(np.float32)


def _port_weights(network: nn.Module) -> Iterator[nn.Parameter]:
    """The weights of an encoder or decoder of the port, in the order in which they are used."""
    parts = list(network.children())
    if isinstance(network, port.JukeboxEncoderConvBlock):
        parts = [network.downsample_block, network.proj_out]
    elif isinstance(network, port.JukeboxDecoder):
        parts = [*reversed(list(network.level_blocks)), network.out]
    yield from network.parameters(recurse=False)
    for part in parts:
        yield from _port_weights(part)


class CodecComparison:
    """Both programs with one codec."""

    def __init__(self, config: VQVAEConfig = PAPER, length: int = NUM_SAMPLES) -> None:
        self.config, self.length, self.audio = config, length, make_audio(length)
        self.port, self.vqvae = make_codecs(config)

    def port_tasks(self) -> dict[str, Callable[[], float]]:
        """As `codec_speed.codec_tasks`, of the port."""
        tasks: dict[str, Callable[[], float]] = {"encode, all levels": self._port_encode}
        for level in range(self.config.num_levels):
            tasks[f"decode, level {level}"] = partial(self._port_decode, level)
        return tasks

    @torch.inference_mode()
    def _port_encode(self) -> float:
        start = time.perf_counter()
        self.port_codes()
        return real_time_factor(self.config.sample_rate, self.length, start)

    @torch.inference_mode()
    def _port_decode(self, level: int) -> float:
        num_tokens = self.config.token_grid.num_tokens(level, self.length)
        codes = np.random.default_rng(0).integers(self.config.codebook_size, size=num_tokens)
        start = time.perf_counter()
        self.port_audio(level, torch.from_numpy(codes))
        return real_time_factor(self.config.sample_rate, self.length, start)

    @torch.inference_mode()
    def port_codes(self) -> list[Tensor]:
        """The codes (T,) of each level by the port."""
        return [codes[0] for codes in self.port.encode(torch.from_numpy(self.audio)[None, :, None])]

    @torch.inference_mode()
    def port_audio(self, level: int, codes: Tensor) -> Tensor:
        """The audio (N,) of codes (T,) by the port."""
        audio: Tensor = self.port.decode([codes[None]], start_level=level, end_level=level + 1)
        return audio[0, :, 0]

    def differences(self) -> list[Row]:
        """How many codes are others than the port's, and how far samples are from the port's."""
        codec, codes = NativeCodec(self.vqvae), self.port_codes()
        others = [
            float((found != expected.numpy()).sum())
            for found, expected in zip(codec.encode([self.audio]), codes, strict=True)
        ]
        errors = []
        for level, tokens in enumerate(codes):
            audio = np.concatenate(list(decode(codec, level, tokens.numpy())))
            expected = self.port_audio(level, tokens).numpy()
            errors.append(float(np.abs(audio - expected).max() / np.abs(expected).max()))
        count = sum(len(tokens) for tokens in codes)
        return [
            single_row("codes that differ", "codes", sum(others), count),
            single_row("largest difference of decoded audio, over its peak", "", max(errors)),
        ]


def measure_codec(rounds: int, comparison: CodecComparison | None = None) -> list[Row]:
    """Speeds of both programs in multiples of real time, their ratios, and whether they agree."""
    both = comparison or CodecComparison()
    threads = sorted({1, torch.get_num_threads()})
    tasks: dict[str, Callable[[], float]] = {}
    for count in threads:
        native = codec_tasks(NativeCodec(both.vqvae, count), both.length)
        for name, task in both.port_tasks().items():
            tasks[_case("port", name, count)] = partial(_with_threads, task, count)
            tasks[_case("native", name, count)] = native[name]
    rows = measure_in_turns(tasks, rounds, "x real time")
    torch.set_num_threads(max(threads))
    speeds = {row.name: row.value for row in rows}
    rows += [_ratio(speeds, name, threads) for name in both.port_tasks()]
    return [replace(row, name=f"codec: {row.name}") for row in [*rows, *both.differences()]]


def _with_threads(task: Callable[[], float], num_threads: int) -> float:
    torch.set_num_threads(num_threads)
    return task()


def _case(program: str, name: str, num_threads: int) -> str:
    return f"{program}, {name}, threads {num_threads}"


def _ratio(speeds: Mapping[str, float], name: str, threads: Sequence[int]) -> Row:
    """Native over port, each at its best number of threads."""
    native, theirs = (
        max(speeds[_case(program, name, count)] for count in threads)
        for program in ("native", "port")
    )
    return single_row(f"native over port, {name}", "x", native / theirs)
