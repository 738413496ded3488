"""On a GPU: networks compute what they compute on a CPU, and songs are reproducible.

Skipped without a CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from jukebox_cli.engine.fused_step import FusedStep, has_kernels
from jukebox_cli.engine.step import make_step
from jukebox_cli.model.attention import MultiHeadAttention
from jukebox_cli.model.conditioning import stack_conditionings
from jukebox_cli.model.linear import TILE_ROWS, BatchInvariantLinear, batch_invariant_linear
from jukebox_cli.model.loader import load_prior, load_vqvae
from jukebox_cli.model.prior import TransformerStep
from jukebox_cli.model.transformer import Transformer
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    WindowSampler,
)
from jukebox_cli.sampling.windows import TokenWindow
from jukebox_cli.storage.model import Model
from jukebox_cli.train.task import Task
from support.golden import LEVELS, Golden, import_golden
from support.interruptions import Conditions
from support.networks import (
    CONTEXT,
    SELF_ATTENTION_PATTERNS,
    conditions_on,
    make_full_prior,
    make_prior,
    random_conditions,
    scale_weights,
)
from support.results import Result
from support.run_files import all_tokens

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GENERATE = ("--seconds", 0.1, "--artist", "Ada Vale", "--genre", "rock", "--device", "cuda", "-q")
Jukebox = Callable[..., Result]
Tokens = dict[tuple[int, int], list[int]]
Generate = Callable[..., Tokens]
MakeTask = Callable[[Model, torch.device], Task]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Golden:
    """A model that the original program computed with."""
    return import_golden("1b_lyrics", tmp_path_factory.mktemp("models"), registry)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_codes_and_audio_are_those_of_the_original_program(golden: Golden, level: int) -> None:
    network = load_vqvae(golden.model, CUDA).level(level)
    codes = network.encode(golden["x"].transpose(1, 2).to(CUDA))
    assert torch.equal(codes.cpu(), golden[f"z.{level}"])
    audio = network.decode(golden[f"z.{level}"].to(CUDA)).transpose(1, 2).cpu()
    torch.testing.assert_close(audio, golden[f"decode.{level}"], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("precision", "atol"), [("fp32", 2e-4), ("fp16", 1e-2), ("bf16", 6e-2)])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_are_those_of_the_original_program(
    golden: Golden, level: int, precision: str, atol: float
) -> None:
    prior = load_prior(golden.model, level, golden.registry, CUDA, precision)
    conditions = conditions_on(CUDA, golden.conditions(level))
    conditions = conditions.to_dtype(prior.position_embedding.dtype)
    tokens, total = golden[f"prior.{level}.z"].to(CUDA), prior.config.context_length
    expected = golden[f"prior.{level}.logits"][:, -total:]
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :0], conditions, caches)
    step = make_step(prior, conditions, caches)
    steps = [step(tokens[:, n - 1], n).clone() for n in range(total)]
    for logits in (torch.stack(steps, 1), prior(tokens, conditions)[:, -total:]):
        actual = golden.order_logits(prior, logits.float().cpu())
        torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


#: Inputs and outputs of linear layers of the published priors, and of the tiny model.
LINEARS = [(1920, 1440), (480, 1920), (1920, 1920), (1920, 2048), (4800, 3600), (64, 64)]
DTYPES = [torch.bfloat16, torch.float16, torch.float32]
#: Heads, channels of a head, and positions of the published priors.
HEADS = [(1, 480, 64), (8, 150, 128), (8, 150, 512), (2, 256, 1024), (2, 8, 16)]
BATCHES = (1, 3, TILE_ROWS, TILE_ROWS + 1, 70)


def random_on_gpu(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, device=CUDA, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("in_features", "out_features"), LINEARS)
@torch.inference_mode()
def test_a_product_rounds_the_same_for_any_batch(
    in_features: int, out_features: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x = random_on_gpu(70, 1, in_features, dtype=dtype)
    weight = 0.02 * random_on_gpu(in_features, out_features, dtype=dtype)
    bias = random_on_gpu(out_features, dtype=dtype)
    expected = (x.double() @ weight.double() + bias).to(dtype)
    for weights in (weight, weight.T.contiguous().T):
        together = batch_invariant_linear(x, weights, bias)
        torch.testing.assert_close(together, expected, rtol=2e-2, atol=2e-2)
        for batch in BATCHES:
            assert torch.equal(batch_invariant_linear(x[:batch], weights, bias), together[:batch])
        turned = batch_invariant_linear(x.flip(0), weights, bias)
        assert torch.equal(turned.flip(0), together)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("heads", "head_dim", "total"), HEADS)
@torch.inference_mode()
def test_attention_rounds_the_same_for_any_batch(
    heads: int, head_dim: int, total: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(heads * head_dim, heads)
    q = random_on_gpu(70 * heads, head_dim, dtype=dtype)
    k, v = (random_on_gpu(70 * heads, total, head_dim, dtype=dtype) for _ in range(2))
    mask = torch.arange(total, device=CUDA) <= total // 2
    together = attention.attend_one_position(q, k, v, mask)
    on_cpu = [tensor.cpu().float() for tensor in (q, k, v)]
    expected = attention.attend_one_position(on_cpu[0], on_cpu[1], on_cpu[2], mask.cpu())
    torch.testing.assert_close(together.cpu().float(), expected, rtol=2e-2, atol=2e-2)
    for batch in BATCHES:
        size = batch * heads
        part = attention.attend_one_position(q[:size], k[:size], v[:size], mask)
        assert torch.equal(part, together[:batch])
    own_masks = mask.expand(70 * heads, 1, total).clone()
    own_masks[:heads] = False  # an item with nothing to attend to
    alone = attention.attend_one_position(q, k, v, own_masks)
    assert not alone[0].any()
    torch.testing.assert_close(alone[1:], together[1:])


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize(("in_features", "out_features"), LINEARS)
@torch.inference_mode()
def test_a_fused_product_rounds_the_same_for_any_batch(
    in_features: int, out_features: int, dtype: torch.dtype
) -> None:
    fused_ops = pytest.importorskip("jukebox_cli.engine.fused_ops", reason="no Triton here")
    torch.manual_seed(0)
    linear = BatchInvariantLinear(in_features, out_features).to(CUDA, dtype)
    linear.weight.data = linear.weight.data.T.contiguous().T
    x = random_on_gpu(70, in_features, dtype=dtype)
    together = fused_ops.product(x, linear, dtype)
    expected = (x.double() @ linear.weight.double()).to(dtype)
    torch.testing.assert_close(together, expected, rtol=2e-2, atol=2e-2)
    for batch in BATCHES:
        assert torch.equal(fused_ops.product(x[:batch], linear, dtype), together[:batch])
    turned = fused_ops.product(x.flip(0).contiguous(), linear, dtype)
    assert torch.equal(turned.flip(0), together)


#: Width, attention width and heads.
WIDTHS = [(1920, 480, 1), (600, 300, 2), (64, 64, 2)]


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize(("width", "attention_width", "heads"), WIDTHS)
@torch.inference_mode()
def test_fused_steps_are_the_same_for_any_batch(
    width: int, attention_width: int, heads: int, dtype: torch.dtype
) -> None:
    if not has_kernels(CUDA):
        pytest.skip("no fused kernels here")
    torch.manual_seed(0)
    prior = make_prior(
        width=width, heads=heads, attention_ratio=attention_width / width, prefix_length=8,
        depth=len(SELF_ATTENTION_PATTERNS), attention_patterns=SELF_ATTENTION_PATTERNS,
    )  # fmt: skip
    transformer = scale_weights(prior, 0.1).to(CUDA, dtype).transformer
    inputs = random_on_gpu(24, 40, 1, width, dtype=dtype)
    steps = partial(steps_of, transformer, FusedStep(transformer))
    together = steps(inputs)
    expected = steps_of(transformer, transformer.step, inputs)
    torch.testing.assert_close(together, expected, rtol=5e-2, atol=5e-2)
    assert torch.equal(steps(inputs.flip(1)).flip(1), together)
    for rows in (slice(1), slice(39, 40), slice(3, 12)):
        assert torch.equal(steps(inputs[:, rows].contiguous()), together[:, rows])


def steps_of(transformer: Transformer, step: TransformerStep, inputs: Tensor) -> Tensor:
    """The outputs of a transformer for inputs (T, B, 1, W), one position after another."""
    caches = transformer.make_caches(inputs.shape[1])
    position = torch.zeros(1, dtype=torch.int64, device=CUDA)
    outputs = []
    for n, x in enumerate(inputs):
        outputs.append(step(x, position.fill_(n), caches))
    return torch.stack(outputs)


@pytest.fixture
def full_window() -> Callable[[], WindowSampler]:
    """Opens a window of four items and a prior with a layer of each kind."""
    prior = make_full_prior(prefix_length=8).to(CUDA, torch.float16)
    conditions = conditions_on(CUDA, stack_conditionings(random_conditions(prior, 4)))
    conditions = conditions.to_dtype(torch.float16)
    level = LevelSampler(0, prior, [])

    def make() -> WindowSampler:
        items = [PartialTokens(item, 0, np.zeros(CONTEXT, np.int64), 3) for item in range(4)]
        window = TokenWindow(0, 3, CONTEXT)
        return WindowSampler(level, items, window, Conditions(lambda window: conditions))

    return make


def tokens_of_window(window: WindowSampler) -> list[list[int]]:
    window.run(ProgressCallbacks())
    return [item.tokens.tolist() for item in window.batch]


@torch.inference_mode()
def test_a_recorded_position_waits_for_nothing(full_window: Callable[[], WindowSampler]) -> None:
    window = full_window()
    window.steps.logits(3)  # records
    torch.cuda.set_sync_debug_mode("error")
    try:
        for position in range(4, 12):
            window._sample(position, position + 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@torch.inference_mode()
def test_a_graph_is_recorded_while_another_thread_uses_the_gpu(
    full_window: Callable[[], WindowSampler],
) -> None:
    expected, stop, counts = tokens_of_window(full_window()), Event(), [0]

    def compute() -> None:
        while not stop.is_set():
            x = torch.ones(64, 64, device=CUDA)
            counts[0] += int((x @ x)[0, 0].item() == 64)

    thread = Thread(target=compute)
    thread.start()
    try:
        for _ in range(5):
            assert tokens_of_window(full_window()) == expected
    finally:
        stop.set()
        thread.join()
    assert counts[0] > 0


@torch.inference_mode()
def test_levels_in_threads_record_one_after_another(
    full_window: Callable[[], WindowSampler],
) -> None:
    expected = tokens_of_window(full_window())

    def sample(_: int) -> list[list[int]]:
        with torch.inference_mode():
            return tokens_of_window(full_window())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(sample, range(6))) == [expected] * 6


@pytest.fixture
def generate(tiny: Model, tmp_path: Path, jukebox: Jukebox) -> Generate:
    """Generates a run with the tiny model and returns its tokens."""

    def run(name: str, *options: object) -> Tokens:
        words = ("generate", "--model", tiny.path, *GENERATE, *options, "--out", tmp_path / name)
        result = jukebox(*words)
        assert result.code == 0, result.err
        return all_tokens(tmp_path / name)

    return run


@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16"])
def test_an_item_does_not_depend_on_its_batch(generate: Generate, precision: str) -> None:
    options = ("--items", 5, "--precision", precision)
    expected = generate("all", *options)
    assert generate("again", *options) == expected
    assert generate("alone", *options, "--batch", 1) == expected
    part = generate("part", *options, "--only", "3,1")
    assert part == {key: expected[key] for key in part}


def test_slices_are_rows_of_a_batch(generate: Generate) -> None:
    options = ("--seconds", 1, "--parallel", 3, "--items", 2)
    expected = generate("all", *options)
    assert generate("again", *options, "--batch", 1) == expected


def test_in_fp32_a_song_is_nearly_that_of_the_cpu(generate: Generate) -> None:
    options = ("--precision", "fp32", "--items", 2)
    on_gpu, on_cpu = generate("gpu", *options), generate("cpu", *options, "--device", "cpu")
    equal = [np.mean(np.equal(on_gpu[key], on_cpu[key])) for key in on_cpu]
    assert min(equal) > 0.9  # a uniform number at the border of two tokens may fall on either side


def test_a_song_is_continued_and_decoded(
    generate: Generate, jukebox: Jukebox, tmp_path: Path
) -> None:
    generate("longer", "--until", "top")
    result = jukebox("continue", tmp_path / "longer", "--seconds", 0.2, "--device", "cuda", "-q")
    assert result.code == 0, result.err
    audio, rate = soundfile.read(tmp_path / "longer" / "audio" / "item-00.wav")
    assert (len(audio), rate) == (2400, 8000)
    assert np.abs(audio).max() > 0


def test_mini_makes_music(jukebox: Jukebox, tmp_path: Path) -> None:
    words = ("generate", "--preset", "rock", "--seconds", 1, "--device", "cuda", "-q")
    result = jukebox(*words, "--out", tmp_path / "rock")
    assert result.code == 0, result.err
    audio, _ = soundfile.read(tmp_path / "rock" / "audio" / "item-00.wav")
    assert 0.01 < np.sqrt((audio**2).mean()) < 0.5
    assert np.abs(audio).max() < 1.0


def test_a_recording_has_the_tokens_it_has_on_the_cpu(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    for device in ("cpu", "cuda"):
        words = ("--model", tiny.path, "--out", tmp_path / device, "--device", device, "-q")
        assert jukebox("tokenize", tone, *words).code == 0
    on_cpu, on_gpu = (all_tokens(tmp_path / device) for device in ("cpu", "cuda"))
    assert min(np.mean(np.equal(on_cpu[key], on_gpu[key])) for key in on_cpu) > 0.99
