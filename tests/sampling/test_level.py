"""Levels on disk: the same tokens for any batch, any subset of items and any interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.loader import build_prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.sampling.stages import level_stage
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import RunConfig
from jukebox_cli.storage.segments import ItemSpec, Prompt
from jukebox_cli.storage.tensors import save_tensors
from support.jobs import CONFIG, NUM_SAMPLES, SONG, make_job, tokens_on_disk
from support.results import refusal

SONGS: Mapping[int, Mapping[str, Any]] = {1: {"genre": ["jazz"]}}
Tokens = dict[tuple[int, int], list[int]]
JobMaker = Callable[..., Job]


@pytest.fixture(scope="module")
def job(tiny: Model, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> JobMaker:
    """`job(items)` is a job on a run in a new folder, `job(items, other)` on that of another."""

    def make(items: Sequence[int], like: Job | None = None, **changes: Any) -> Job:
        path = like.run.path if like else tmp_path_factory.mktemp("run")
        return make_job(path, tiny, registry, items, SONGS, **changes)

    return make


@pytest.fixture(scope="module")
def whole(job: JobMaker) -> Tokens:
    """The tokens of three items at all levels, sampled without interruption."""
    done = job(range(3))
    pipeline.complete_run(done, "tokens")
    return tokens_on_disk(done)


def test_all_levels_are_sampled_to_their_length(whole: Tokens) -> None:
    lengths = {level: {len(whole[level, item]) for item in range(3)} for level in range(3)}
    assert lengths == {0: {400}, 1: {200}, 2: {100}}
    assert all(max(tokens) < 64 and len(set(tokens)) > 1 for tokens in whole.values())


@pytest.mark.parametrize("items", [[2], [2, 0]])
def test_a_subset_of_items_has_the_same_tokens(
    items: list[int], job: JobMaker, whole: Tokens
) -> None:
    this_job = job(items)
    pipeline.complete_run(this_job, "tokens")
    assert tokens_on_disk(this_job) == {key: song for key, song in whole.items() if key[1] in items}


def test_small_batches_have_the_same_tokens(job: JobMaker, whole: Tokens) -> None:
    this_job = job(range(3), batch_size=2)
    pipeline.complete_run(this_job, "tokens")
    assert tokens_on_disk(this_job) == whole


@dataclass
class Interruption:
    """A progress bar that interrupts at the n-th report of new tokens, counted from 1: of a stage,
    or of any, in whose order levels that are sampled at the same time report."""

    at: int
    stage: str = ""

    def __call__(self, description: str, done: int, total: int) -> Advance:
        return self.advance if self.stage in ("", description) else lambda count: None

    def advance(self, count: int) -> None:
        self.at -= count > 0
        if count and self.at == 0:
            raise KeyboardInterrupt


def interrupted(job: Job, at: int, stage: str = "") -> bool:
    """Samples until the `at`-th report, of a stage if one is named; whether there was one."""
    try:
        pipeline.complete_run(replace(job, progress=Interruption(at, stage)), "tokens")
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_run_interrupted_repeatedly_has_the_same_tokens(
    every: int, job: JobMaker, whole: Tokens
) -> None:
    this_job = job([1, 2])
    times = 0
    while interrupted(this_job, every):
        times += 1
        for key, tokens in tokens_on_disk(this_job).items():
            assert tokens == whole[key][: len(tokens)]
    assert times >= 2
    assert tokens_on_disk(this_job) == {key: t for key, t in whole.items() if key[1] in (1, 2)}


def test_items_of_different_progress_are_finished_together(job: JobMaker, whole: Tokens) -> None:
    first = job([0])
    assert interrupted(first, 2, level_stage(2))
    pipeline.complete_run(job([1], first), "top")
    assert interrupted(job([1], first), 1, level_stage(1))
    together = job(range(3), first)
    found = tokens_on_disk(together)
    assert {item: len(t) for (level, item), t in found.items() if level == 2} == {0: 64, 1: 100}
    pipeline.complete_run(together, "tokens")
    assert tokens_on_disk(together) == whole


def guided_by(job: Job, *scales: float) -> Job:
    """The job with another guidance scale at each level."""
    sampling = tuple({"guidance": scale} for scale in scales)
    specs = {
        item: spec.with_segment(0, replace(spec.segments[0], sampling=sampling))
        for item, spec in job.specs.items()
    }
    return replace(job, specs=specs)


def test_each_level_has_its_own_guidance(job: JobMaker, whole: Tokens) -> None:
    plain, this_job = guided_by(job([0]), 1, 1, 1), guided_by(job([0]), 1, 4, 1)
    for each in (plain, this_job):
        pipeline.complete_run(each, "tokens")
    assert tokens_on_disk(plain) == {key: t for key, t in whole.items() if key[1] == 0}
    assert tokens_on_disk(this_job)[2, 0] == whole[2, 0]
    assert tokens_on_disk(this_job)[1, 0] != whole[1, 0]


def test_guidance_of_0_is_sampling_without_conditions(
    tiny: Model, registry: Registry, job: JobMaker, tmp_path: Path
) -> None:
    unconditional = make_job(tmp_path / "run", tiny, registry, (0, 1), {0: {}, 1: {}})
    this_job = guided_by(job([0, 1]), 0, 0, 0)
    for each in (unconditional, this_job):
        pipeline.complete_run(each, "tokens")
    assert tokens_on_disk(this_job) == tokens_on_disk(unconditional)


@pytest.mark.slow
def test_items_of_different_seeds_and_options_are_sampled_in_one_job(job: JobMaker) -> None:
    def changed(base: Job) -> Job:
        specs = dict(base.specs)
        for item, change in ((0, {"seed": 8}), (1, {"sampling": ({"top_k": 2},) * 3})):
            if item in specs:
                segment = replace(specs[item].segments[0], **change)
                specs[item] = specs[item].with_segment(0, segment)
        return replace(base, specs=specs)

    together = changed(job(range(3)))
    pipeline.complete_run(together, "tokens")
    for item in range(3):
        alone = changed(job([item]))
        pipeline.complete_run(alone, "tokens")
        assert tokens_on_disk(alone).items() <= tokens_on_disk(together).items()
    assert len({str(tokens_on_disk(together)[2, item]) for item in range(3)}) == 3


def primed(job: Job, lengths: Mapping[int, int]) -> Job:
    """The job with items that begin with so many tokens of the top level, and more below."""
    specs = {}
    for item, length in lengths.items():
        spec, prompt = job.specs[item], Prompt("abc", 16 * length)
        beginning = ItemSpec(16 * length, (replace(spec.segments[0], prompt=prompt),))
        specs[item] = beginning.extended(NUM_SAMPLES)
        for level in range(3):
            tokens = np.arange(job.grid.num_tokens(level, 16 * length)) % 50
            job.run.write_tokens(level, item, tokens, job.model.config.vqvae)
        job.run.write_item(item, specs[item])
    return replace(job, specs=specs)


def test_a_prompt_is_kept_and_continued(job: JobMaker) -> None:
    lengths = {0: 30, 1: 30, 2: 7}
    once, often = primed(job(range(3)), lengths), primed(job(range(3)), lengths)
    pipeline.complete_run(once, "tokens")
    while interrupted(often, 3):
        pass
    assert tokens_on_disk(often) == tokens_on_disk(once)
    for (level, item), tokens in tokens_on_disk(once).items():
        length = lengths[item] * (4, 2, 1)[level]
        assert tokens[:length] == [n % 50 for n in range(length)]
        assert len(tokens) == (400, 200, 100)[level]


def test_missing_tokens_of_a_prompt_are_an_error(job: JobMaker) -> None:
    this_job = primed(job([0]), {0: 30})
    this_job.run.token_file(1, 0).unlink()
    message, hint = refusal(pipeline.complete_run, this_job, "tokens")
    assert message == f"{this_job.run.token_file(1, 0)}, with the tokens of a recording, is missing"
    assert hint == "restore it from a copy, or create the run again from its recording"


def extended(job: Job, num_samples: int, **changes: Any) -> Job:
    """The job with items that are longer by one segment."""
    specs = {item: spec.extended(num_samples, **changes) for item, spec in job.specs.items()}
    return replace(job, specs=specs)


@pytest.mark.parametrize("middle", [800, 1000])  # 1000 ends within a token of the top level
def test_a_segment_has_its_own_seed_conditions_and_options(
    middle: int, tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    first = make_job(tmp_path / "run", tiny, registry, (0, 1), num_samples=middle)
    changes = {"seed": 8, "conditions": {"genre": ["rock"]}, "hop_fraction": (1.0, 0.5, 0.5)}
    pipeline.complete_run(first, "tokens")
    before = tokens_on_disk(first)
    for (level, item), tokens in before.items():
        kept = np.array(tokens[: first.grid.num_whole_tokens(level, middle)])
        first.run.write_tokens(level, item, kept, tiny.config.vqvae)
    pipeline.complete_run(extended(first, NUM_SAMPLES, **changes), "tokens")
    after = tokens_on_disk(first)

    for key, tokens in before.items():
        whole = first.grid.num_whole_tokens(key[0], middle)
        assert after[key][:whole] == tokens[:whole]
    same = {"seed": 7, "conditions": SONG, "hop_fraction": CONFIG.hop_fraction}
    for name in changes:
        other = make_job(tmp_path / name, tiny, registry, (0, 1), num_samples=middle)
        one_changed = {**changes, name: same[name]}
        pipeline.complete_run(extended(other, NUM_SAMPLES, **one_changed), "tokens")
        assert tokens_on_disk(other)[2, 0][: middle // 16] == after[2, 0][: middle // 16]
        assert tokens_on_disk(other)[2, 0] != after[2, 0]


def test_lower_levels_are_the_same_when_they_are_sampled_after_the_run_was_continued(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    changes = {"seed": 8, "conditions": {"genre": ["rock"]}}
    first = make_job(tmp_path / "a", tiny, registry, (0, 1), num_samples=800)
    pipeline.complete_run(first, "tokens")
    pipeline.complete_run(extended(first, NUM_SAMPLES, **changes), "tokens")

    later = make_job(tmp_path / "b", tiny, registry, (0, 1), num_samples=800)
    pipeline.complete_run(later, "top")
    longer = extended(later, NUM_SAMPLES, **changes)
    pipeline.complete_run(longer, "top")
    while interrupted(longer, 3):
        pass
    assert tokens_on_disk(later) == tokens_on_disk(first)


def test_a_lost_level_is_sampled_again_with_the_same_tokens(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    first = make_job(tmp_path / "run", tiny, registry, (0,), num_samples=800)
    pipeline.complete_run(first, "tokens")
    longer = extended(first, NUM_SAMPLES, seed=8)
    pipeline.complete_run(longer, "tokens")
    before = tokens_on_disk(longer)
    longer.run.token_file(0, 0).unlink()
    pipeline.complete_run(longer, "tokens")
    assert tokens_on_disk(longer) == before


def test_a_complete_run_is_not_changed(job: JobMaker, whole: Tokens) -> None:
    this_job = job([0])
    create_run(this_job)
    pipeline.complete_run(this_job, "tokens")
    files = sorted(Path(this_job.run.path).rglob("*"))
    before = [file.stat().st_mtime_ns for file in files]
    pipeline.complete_run(this_job, "tokens")
    assert sorted(Path(this_job.run.path).rglob("*")) == files
    assert [file.stat().st_mtime_ns for file in files] == before


def test_a_level_is_not_sampled_below_an_incomplete_one(job: JobMaker) -> None:
    this_job = job([0])
    sample_level(this_job, 2)
    with pytest.raises(InputError) as caught:
        sample_level(this_job, 0)
    assert caught.value.message == f"item 0 of {this_job.run.path} is incomplete at level 1"
    assert caught.value.hint == "finish that level first, with the command that began it"


@dataclass(frozen=True)
class Spelling(Conditioner):
    """A prefix of 8 characters out of 64."""

    name: ClassVar[str] = "spelling"

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {"ids": (window.start + np.arange(8)) % 64}

    def module(self, shape: PriorShape) -> nn.Module:
        return Characters(shape.width)


class Characters(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.randn(64, width) * 0.02)

    def forward(self, ids: Tensor) -> Conditioning:
        return Conditioning(prefix=Prefix(ids, self.embeddings, torch.ones(8)))


SPELLED = """
vqvae:
  {sample_rate: 8000, strides: [[4]], codebook_size: 64, embedding_dim: 8, widths: [8], depths: [1]}
priors:
  - {context_length: 64, prefix_length: 8, rows: 8, width: 16, depth: 2, heads: 2,
     attention_patterns: [prefix, row], conditioners: {spelling: {}}}
"""


@pytest.fixture(scope="module")
def spelled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Job]:
    """A job on a new run of a model with one level, whose prior samples characters too."""
    plugin = SimpleNamespace(jukebox_conditioners=hookimpl(lambda: [Spelling]))
    registry, folder = Registry({"spelling": plugin}), tmp_path_factory.mktemp("spelled")
    (folder / "recipe.yaml").write_text(SPELLED)
    model = Model(folder / "model")
    model.write_config(load_config(ModelConfig, folder / "recipe.yaml"))
    model.write_fitted_conditioners(0, {"spelling": {}})
    torch.manual_seed(0)
    prior = build_prior(model.config, 0, {"spelling": Spelling()})
    weights = {name: 5.0 * tensor for name, tensor in prior.state_dict().items()}
    save_tensors(model.weights("prior-0"), weights)
    config = RunConfig(sample_rate=8000, seed=7, hop_fraction=(0.5,), sampling=({},))

    def make() -> Job:
        path = tmp_path_factory.mktemp("run")
        songs: dict[int, dict[str, Any]] = {0: {}, 1: {}}
        return make_job(path, model, registry, (0, 1), songs, config, num_samples=400)

    return make


def vocab_size_on_disk(job: Job, item: int) -> str:
    with safe_open(str(job.run.token_file(0, item)), "np") as file:
        return str(file.metadata()["vocab_size"])


def tokens_of(job: Job, item: int) -> np.ndarray:
    found = job.run.read_tokens(0, item)
    assert found is not None
    return found


def test_an_interruption_with_characters_on_disk_changes_nothing(
    spelled: Callable[[], Job],
) -> None:
    once, often, num_characters = spelled(), spelled(), 0
    pipeline.complete_run(once, "tokens")
    expected = {item: tokens_of(once, item) for item in (0, 1)}
    while interrupted(often, 1):  # within a window
        for item, tokens in expected.items():
            found = tokens_of(often, item)
            num_characters += int((found >= 64).sum())
            assert np.where(found < 64, found, 0).tolist() == tokens[: len(found)].tolist()
    assert num_characters > 0
    for item, tokens in expected.items():
        assert len(tokens) == 100
        assert tokens_of(often, item).tolist() == tokens.tolist()
        assert vocab_size_on_disk(often, item) == "64"  # there are no characters in it any more
