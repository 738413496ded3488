"""Training: what a step does depends on its number alone, so nothing is lost by stopping."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
import torch
from jukebox_plugins.artist import Artist
from jukebox_plugins.genre import Genre
from torch import Tensor, nn

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.files import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from jukebox_cli.train.corpus_windows import CFG_DROPOUT, CONDITION_DROPOUT, CorpusWindows
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.data import iterate_batches, num_workers_for
from jukebox_cli.train.prior import PriorTask, prepare_prior_task
from jukebox_cli.train.task import Task
from jukebox_cli.train.trainer import TrainingConfig, TrainingProgress, train
from jukebox_cli.train.vqvae import AutoencoderTask
from support.training import CODEC, PLAN, PRIOR, add, losses, new_corpus, new_model, write_sounds

Make = Callable[[Model], Task]


@pytest.fixture
def model(tmp_path) -> Model:
    return new_model(tmp_path / "model")


@pytest.fixture(scope="session")
def sounds(tmp_path_factory) -> list[Path]:
    return write_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
def corpus(tmp_path, model) -> Corpus:
    """Songs that go up and songs that go down."""
    made = new_corpus(tmp_path / "corpus", model)
    for held_out in (False, False, True):
        add(made, "Up", np.arange(200) % 8, held_out)
        add(made, "Down", -np.arange(200) % 8, held_out)
    return made


@pytest.fixture(params=["vqvae-0", "prior-0"])
def make(request, sounds, corpus, registry) -> Make:
    """Sets up a task anew, as another process would."""

    def autoencoder(model: Model) -> Task:
        crops = Crops.of(sounds[:2], 512, 8000, seed=1)
        held_out = Crops.of(sounds[2:], 512, 8000, seed=2)
        return AutoencoderTask(model.config.vqvae, 0, crops, held_out, batch=2)

    def prior(model: Model) -> Task:
        return prepare_prior_task(model, 0, corpus, registry, batch=2, seed=1)

    return autoencoder if request.param == "vqvae-0" else prior


def results(model: Model, part: str) -> tuple[dict[int, float], bytes, bytes]:
    files = model.checkpoint(part), model.weights(part)
    return losses(model), *(f.read_bytes() for f in files)


@pytest.fixture
def straight(make, tmp_path) -> tuple[dict[int, float], bytes, bytes]:
    """Of a training that nobody stopped."""
    model = new_model(tmp_path / "straight")
    task = make(model)
    train(task, model, PLAN)
    assert list(losses(model)) == [1, 2, 3, 4, 5]
    return results(model, task.part)


class Interrupting:
    """A task that something happens to while it works on the loss of a step."""

    def __init__(self, task: Task, step: int, happens: Callable[[], None]) -> None:
        self.task, self.step, self.happens = task, step, happens

    def __getattr__(self, name: str) -> object:
        return getattr(self.task, name)

    def loss(self, step: int, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        if step == self.step:
            self.happens()
        return self.task.loss(step, batch)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_step_loses_nothing(make, model, straight, number):
    handler = signal.getsignal(number)
    for step in range(1, 5):  # one stop in every step but the last, in a row
        task = Interrupting(make(model), step - 1, lambda: os.kill(os.getpid(), number))
        with pytest.raises(KeyboardInterrupt):
            train(task, model, PLAN)
        assert signal.getsignal(number) is handler
        assert list(losses(model)) == list(range(1, step + 1))
    last = make(model)
    train(last, model, PLAN)
    assert results(model, last.part) == straight


class Cut(BaseException):
    """The power fails."""


def cut() -> None:
    raise Cut


@pytest.mark.parametrize("step", range(5))
def test_after_a_hard_stop_at_any_step_the_last_checkpoint_is_gone_on_from(
    make, model, straight, step
):
    with pytest.raises(Cut):
        train(Interrupting(make(model), step, cut), model, PLAN)
    again = make(model)
    seen: list[int] = []
    train(again, model, PLAN, lambda progress: seen.append(progress.step))
    assert seen == list(range(step // 2 * 2 + 1, 6))
    assert results(model, again.part) == straight


@pytest.mark.parametrize("file", range(1, 5))
def test_a_hard_stop_while_a_checkpoint_is_written_leaves_a_whole_one(
    make, model, straight, file, monkeypatch
):
    moved: list[str] = []
    replace_file = os.replace

    def failing(source: str, target: str) -> None:
        moved.append(target)
        if len(moved) == file:
            raise Cut
        replace_file(source, target)

    task = make(model)
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(Cut):
        train(task, model, PLAN)
    monkeypatch.setattr(os, "replace", replace_file)
    again = make(model)
    train(again, model, PLAN)
    assert results(model, again.part) == straight


def test_what_is_done_is_not_done_again(make, model):
    train(make(model), model, PLAN)
    before = model.checkpoint(make(model).part).read_bytes()
    train(Interrupting(make(model), 0, cut), model, PLAN)
    assert len([row for row in read_jsonl(model.log) if "loss" in row]) == 5
    assert model.checkpoint(make(model).part).read_bytes() == before


def test_more_steps_go_on_from_there(make, model):
    train(make(model), model, PLAN)
    train(make(model), model, replace(PLAN, steps=7))
    assert list(losses(model)) == [1, 2, 3, 4, 5, 6, 7]


def test_a_model_without_its_checkpoints_is_trained_further_from_its_weights(make, model):
    train(make(model), model, PLAN)
    part = make(model).part
    learned = load_tensors(model.weights(part))
    model.checkpoint(part).unlink()
    still = make(model)
    train(still, model, replace(PLAN, steps=1, rate=0.0))
    kept = {k: v for k, v in load_tensors(model.weights(part)).items() if "codebook" not in k}
    assert all(torch.equal(kept[name], learned[name]) for name in kept)


def test_weights_of_another_shape_are_not_trained_further(make, model):
    train(make(model), model, PLAN)
    part = make(model).part
    model.checkpoint(part).unlink()
    weights = load_tensors(model.weights(part))
    name = next(iter(weights))
    save_tensors(model.weights(part), {**weights, name: torch.zeros(3)})
    before = model.weights(part).read_bytes()
    with pytest.raises(InputError, match=f"the weights of model 'model' do not fit.*{name}"):
        train(make(model), model, PLAN)
    assert model.weights(part).read_bytes() == before


@pytest.mark.parametrize(
    ("plan", "rates"),
    [
        (TrainingConfig(steps=10, learning_rate=1.0, warmup_steps=4, cooldown_fraction=0.3),
         [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 2 / 3, 1 / 3]),
        (TrainingConfig(steps=4, learning_rate=2.0, warmup_steps=0, cooldown_fraction=0.5), [2, 2, 2, 1]),
        (TrainingConfig(steps=3, learning_rate=1.0, warmup_steps=1, cooldown_fraction=0.0), [1, 1, 1]),
        (TrainingConfig(steps=4, learning_rate=1.0, warmup_steps=4, cooldown_fraction=1.0), [0.25, 0.375, 0.375, 0.25]),
    ],
)  # fmt: skip
def test_the_rate_rises_stays_and_falls(plan, rates):
    assert [plan.rate_at(step) for step in range(plan.steps)] == pytest.approx(rates)
    assert plan.rate_at(plan.steps) == 0


def test_training_longer_changes_no_rate_before_the_fall():
    short, long = (
        TrainingConfig(steps=100, warmup_steps=10),
        TrainingConfig(steps=200, warmup_steps=10),
    )
    assert [short.learning_rate_at(n) for n in range(80)] == [
        long.learning_rate_at(n) for n in range(80)
    ]


def test_the_log_says_the_rate_of_each_step(make, model):
    train(make(model), model, PLAN)
    rates = [row["rate"] for row in read_jsonl(model.log) if "loss" in row]
    assert rates == [PLAN.learning_rate_at(step) for step in range(5)]


def test_only_matrices_and_filters_decay(make, model):
    task = make(model)
    before = {name: p.detach().clone() for name, p in task.module.named_parameters()}
    still = replace(PLAN, steps=1, warmup=0, rate=1e-3, clip=1e-20)  # so that gradients move little
    train(task, model, replace(still, decay=100.0))
    for name, parameter in task.module.named_parameters():
        share = 0.9 if parameter.dim() > 1 else 1
        torch.testing.assert_close(parameter.detach(), share * before[name])


def poison(task: Task) -> Callable[[], None]:
    def happens() -> None:
        with torch.no_grad():
            next(task.module.parameters()).fill_(float("nan"))

    return happens


@pytest.mark.parametrize("log_every", [1, 1000])
@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_loss_that_is_not_a_number_ends_the_training_and_spoils_no_checkpoint(
    make, model, step, log_every
):
    task = make(model)
    poisoned = Interrupting(task, step, poison(task))
    with pytest.raises(InputError) as caught:
        train(poisoned, model, replace(PLAN, log_every=log_every))
    at = step + 1 if log_every == 1 else min(5, step // 2 * 2 + 2)
    assert caught.value.message == f"the loss of {task.part} is not a number at step {at}"
    assert caught.value.hint == "train with a lower --rate; the last checkpoint is untouched"
    assert not model.log.exists() or "NaN" not in model.log.read_text()
    for path in (model.checkpoint(task.part), model.weights(task.part)):
        assert all(tensor.isfinite().all() for tensor in load_tensors(path).values())


class Steep:
    """A loss that is 0 where its slope is not a number."""

    part = "vqvae-0"

    def __init__(self) -> None:
        self.module = nn.Linear(2, 2)
        self.source = int

    def loss(self, step: int, batch: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        return (0 * self.module.weight).abs().sqrt().sum(), {}

    def held_out(self) -> dict[str, float]:
        return {}

    def export(self) -> dict[str, Tensor]:
        return self.module.state_dict()


def test_processes_that_prepare_examples_change_no_step(make, model, straight):
    task = make(model)
    train(task, model, replace(PLAN, workers=2))
    assert results(model, task.part) == straight


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_processes_that_prepare_examples_are_gone_after_a_signal(make, model, straight, number):
    before = multiprocessing.active_children()
    task = Interrupting(make(model), 2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        train(task, model, replace(PLAN, workers=2))
    assert multiprocessing.active_children() == before
    last = make(model)
    train(last, model, replace(PLAN, workers=1))
    assert results(model, last.part) == straight


def test_what_is_wrong_with_an_example_is_told_as_if_nobody_else_had_prepared_it(sounds, tmp_path):
    spoiled = tmp_path / "spoiled.wav"
    spoiled.write_bytes(sounds[0].read_bytes())
    source = partial(Crops.of([spoiled], 512, 8000).batch, size=2)
    spoiled.write_bytes(b"no longer audio")
    for workers in (0, 1):
        with pytest.raises(InputError) as caught:
            list(iterate_batches(source, range(3), workers, torch.device("cpu")))
        assert caught.value.message == f"{spoiled} is not audio that can be read"
        assert caught.value.hint == "use wav, flac, ogg, opus, mp3, aiff and more"


def die(step: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return step


def test_a_process_that_prepares_examples_and_is_killed_is_told():
    with pytest.raises(InputError) as caught:
        list(iterate_batches(die, range(3), 1, torch.device("cpu")))
    assert "prepares examples was killed" in caught.value.message
    assert caught.value.hint == "train with --workers 0, or with a smaller --batch"


def test_on_a_cpu_nobody_else_prepares_examples_unless_asked():
    assert num_workers_for(torch.device("cpu")) == 0
    assert num_workers_for(torch.device("cpu"), 3) == 3
    assert 1 <= num_workers_for(torch.device("cuda")) <= 4
    assert num_workers_for(torch.device("cuda"), 0) == 0


def test_a_slope_that_is_not_a_number_spoils_no_checkpoint(model):
    with pytest.raises(InputError, match="the loss of vqvae-0 is not a number at step 1"):
        train(Steep(), model, replace(PLAN, save_every=1))
    assert not model.checkpoint("vqvae-0").exists()


def test_a_checkpoint_of_another_shape_is_refused(make, model):
    task = make(model)
    train(task, model, replace(PLAN, steps=2))
    if task.part == "vqvae-0":
        other = new_model(model.path, codec=replace(CODEC, widths=(12, 8)))
    else:
        other = new_model(model.path, prior=replace(PRIOR, width=64))
    with pytest.raises(InputError) as caught:
        train(make(other), other, PLAN)
    path = model.checkpoint(task.part)
    assert caught.value.message.startswith(f"{path} holds another shape of {task.part}: ")
    assert caught.value.hint == f"remove {path} to start anew, or train with the same preset"


def test_what_is_held_out_is_measured_at_the_end_and_logged(make, model):
    task = make(model)
    metrics = train(task, model, PLAN)
    last = read_jsonl(model.log)[-1]
    assert last == {"part": task.part, "step": 5, "held_out": metrics}
    names = (
        {"convergence_db", "log_mel", "entropy_bits", "codes_used"}
        if "vqvae" in task.part
        else {"bits"}
    )
    assert set(metrics) == names
    assert all(np.isfinite(value) for value in metrics.values())
    assert task.module.training


def test_measuring_what_is_held_out_on_the_way_changes_no_step(make, model, tmp_path):
    other = Model(tmp_path / "other")
    other.path.mkdir()
    other.write_config(model.config)
    train(make(model), model, replace(PLAN, save_every=2))
    train(make(other), other, replace(PLAN, save_every=100))
    measured = [row["step"] for row in read_jsonl(model.log) if "held_out" in row]
    assert measured == [2, 4, 5]
    assert losses(model) == losses(other)


def test_a_long_training_is_measured_some_ten_times():
    plan = TrainingConfig(steps=14_600, save_every=100)
    assert [n for n in range(1, 14_600) if plan.evaluates_at(n)] == list(range(1500, 14_600, 1500))


def test_without_songs_held_out_nothing_is_measured(sounds, model):
    task = AutoencoderTask(CODEC, 0, Crops.of(sounds, 512, 8000), None, batch=1)
    assert train(task, model, replace(PLAN, steps=1)) == {}


def test_progress_is_told_as_often_as_it_is_logged(make, model):
    told: list[TrainingProgress] = []
    train(make(model), model, replace(PLAN, log_every=3, save_every=100), told.append)
    assert [(p.step, p.steps) for p in told] == [(3, 5), (5, 5)]
    assert [p.loss for p in told] == list(losses(model).values())


def test_bfloat16_is_used_where_it_is_asked_for_and_stays_finite(make, model):
    task = make(model)
    kinds: set[torch.dtype] = set()
    for part in task.module.modules():
        if isinstance(part, (nn.Conv1d, nn.ConvTranspose1d)) or type(part).__name__ == "Linear":
            part.register_forward_hook(lambda module, given, out: kinds.add(out.dtype))
    train(task, model, replace(PLAN, steps=4, precision="bf16", log_every=1))
    assert torch.bfloat16 in kinds
    assert all(np.isfinite(loss) for loss in losses(model).values())
    saved = load_tensors(model.checkpoint(task.part))
    assert {t.dtype for t in saved.values()} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in saved.values())


def test_full_precision_is_used_where_it_is_asked_for(make, model):
    task = make(model)
    kinds: set[torch.dtype] = set()
    for part in task.module.modules():
        part.register_forward_hook(
            lambda module, given, out: kinds.add(out.dtype) if isinstance(out, Tensor) else None
        )
    train(task, model, replace(PLAN, steps=1, precision="fp32"))
    assert kinds == {torch.float32}


def test_a_batch_of_crops_is_a_function_of_the_step(sounds):
    crops, again = (Crops.of(sounds, 512, 8000, seed=5) for _ in range(2))
    again.batch(0, 3)
    assert crops.batch(7, 3).shape == (3, 1, 512)
    assert torch.equal(crops.batch(7, 3), again.batch(7, 3))
    assert not torch.equal(crops.batch(7, 3), crops.batch(8, 3))
    assert not torch.equal(crops.batch(7, 3), Crops.of(sounds, 512, 8000, seed=6).batch(7, 3))


def test_a_crop_is_a_stretch_of_its_file_and_files_are_as_likely_as_they_are_long(tmp_path):
    files, ramps = [tmp_path / "long.flac", tmp_path / "short.flac"], (6000, 2000)
    for file, length, sign in zip(files, ramps, (1, -1), strict=True):
        soundfile.write(file, sign * np.arange(1, length + 1) / 2**15, 8000, "PCM_16")
    crops = Crops.of(files, 100, 8000)
    rows = torch.cat([crops.batch(step, 20) for step in range(20)])[:, 0] * 2**15
    torch.testing.assert_close(rows[:, 1:] - rows[:, :-1], rows[:, :1].sign().expand(-1, 99))
    assert 0.68 < (rows[:, 0] > 0).double().mean() < 0.82


def test_a_file_shorter_than_a_crop_is_followed_by_silence(sounds):
    row = Crops.of(sounds[2:], 5000, 8000).batch(0, 1)[0, 0]
    assert row[:4000].any()
    assert not row[4000:].any()


def test_nothing_to_train_on_is_refused():
    with pytest.raises(InputError) as caught:
        Crops.of([], 512, 8000)
    assert caught.value.message == "no audio to train on"
    assert caught.value.hint == "name audio files, folders or a manifest"


@dataclass(frozen=True)
class Where(Conditioner):
    """Tells which window it was asked about."""

    name: ClassVar[str] = "where"

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {"window": np.array([window.start, window.length, window.total])}

    def module(self, shape: PriorShape) -> nn.Module:
        raise NotImplementedError


def numbered(path: Path, model: Model, lengths: list[int]) -> Corpus:
    """Each token of the top level is another number, and those of level 0 are 2n and 2n + 1."""
    made, start = new_corpus(path, model), 0
    for length in lengths:
        tokens = np.arange(start, start + length)
        below = np.arange(2 * start, 2 * (start + length))
        made.append("", length * made.config.hop_lengths[-1] - 3, {}, False, [below, tokens])
        start += length
    return made


def windows_of(corpus: Corpus, level: int, seed: int = 0) -> CorpusWindows:
    shape = PriorShape(8, 32, corpus.config.hop_lengths[level], 8000)
    return CorpusWindows(corpus, tuple(corpus.songs()), level, shape, {"where": Where()}, seed)


@pytest.mark.parametrize("level", [0, 1])
def test_a_batch_of_windows_is_a_function_of_the_step(tmp_path, model, level):
    corpus = numbered(tmp_path / "c", model, [500, 900])
    source, again, other = (windows_of(corpus, level, seed) for seed in (3, 3, 4))
    again.batch(0, 4)
    first, same = source.batch(6, 4), again.batch(6, 4)
    assert np.array_equal(first.tokens, same.tokens)
    assert np.array_equal(first.arrays["where"]["window"], same.arrays["where"]["window"])
    assert not np.array_equal(first.tokens, source.batch(7, 4).tokens)
    assert not np.array_equal(first.tokens, other.batch(6, 4).tokens)


@pytest.mark.parametrize("level", [0, 1])
def test_a_window_its_codes_above_and_its_conditions_are_of_one_place(tmp_path, model, level):
    corpus = numbered(tmp_path / "c", model, [300, 12, 200])
    begins = np.array([e.start for e in corpus.songs()]) * corpus.ratio(level)
    batch = windows_of(corpus, level).batch(0, 100)
    start = batch.tokens[:, 0]
    song = np.searchsorted(begins, start, side="right") - 1
    assert set(song) == {0, 1, 2}
    hop = corpus.config.hop_lengths[level]
    where = batch.arrays["where"]["window"]
    assert np.array_equal(where[:, 0], (start - begins[song]) * hop)
    assert set(where[:, 1]) == {32 * hop}
    assert np.array_equal(where[:, 2], np.array([e.num_samples for e in corpus.songs()])[song])
    inside = batch.tokens >= 0
    assert np.array_equal(batch.tokens[inside], (start[:, None] + np.arange(32))[inside])
    if level == 1:
        assert batch.upper_tokens is None
    else:
        assert (start % 2 == 0).all()
        assert np.array_equal(
            batch.upper_tokens.repeat(2, axis=1)[inside], (batch.tokens // 2)[inside]
        )


@pytest.mark.parametrize("varied", [False, True])
def test_conditioners_are_told_nothing_in_a_share_of_the_windows_one_by_one_and_together(
    tmp_path, model, varied: bool
):
    corpus = Corpus(tmp_path / "c")
    corpus.write_config(numbered(tmp_path / "other", model, [1]).config)
    corpus.append(
        "", 1600, {"artist": "Ada", "genre": ["rock"]}, False, [np.zeros(200), np.zeros(100)]
    )
    parts = {"artist": Artist(names=("Ada",)), "genre": Genre(names=("rock",))}
    shape = PriorShape(8, 32, corpus.config.hop_lengths[1], 8000)
    source = CorpusWindows(corpus, tuple(corpus.songs()), 1, shape, parts, augment=varied)
    arrays = source.batch(0, 1000).arrays
    told = {name: arrays[name]["ids"][:, 0] == 1 for name in parts}
    any_told, each_told = (1 - CFG_DROPOUT, 1 - CONDITION_DROPOUT) if varied else (1.0, 1.0)
    for each in told.values():
        assert each.mean() == pytest.approx(any_told * each_told, abs=0.03)
    both = (told["artist"] & told["genre"]).mean()
    assert both == pytest.approx(any_told * each_told**2, abs=0.04)
    neither = (~told["artist"] & ~told["genre"]).mean()
    assert neither == pytest.approx(1 - any_told * (1 - (1 - each_told) ** 2), abs=0.02)


@dataclass(frozen=True)
class Fickle(Artist):
    """Says now and then that another has made it."""

    def vary(self, song: Song, random: np.random.Generator) -> Song:
        return {**song, "artist": "Bob"} if random.random() < 0.5 else song


@pytest.mark.parametrize("varied", [False, True])
def test_what_a_conditioner_varies_is_varied_in_training_alone(tmp_path, model, varied: bool):
    corpus = Corpus(tmp_path / "c")
    corpus.write_config(numbered(tmp_path / "other", model, [1]).config)
    corpus.append("", 1600, {"artist": "Ada"}, False, [np.zeros(200), np.zeros(100)])
    parts, shape = {"artist": Fickle(names=("Ada", "Bob"))}, PriorShape(8, 32, 8, 8000)
    source = CorpusWindows(corpus, tuple(corpus.songs()), 1, shape, parts, augment=varied)
    once, again = (source.batch(7, 100).arrays["artist"]["ids"] for _ in range(2))
    assert set(once.flatten()) == ({0, 1, 2} if varied else {1})  # 0 is nobody
    assert np.array_equal(once, again)


@pytest.mark.parametrize("level", [0, 1])
def test_a_song_shorter_than_a_window_is_whole_in_it_and_minus_1_after(tmp_path, model, level):
    corpus = numbered(tmp_path / "c", model, [10])
    batch, length = windows_of(corpus, level).batch(0, 3), (20, 10)[level]
    wanted = [*range(length), *[-1] * (32 - length)]
    assert batch.tokens.tolist() == [wanted] * 3
    if level == 0:
        assert batch.upper_tokens.tolist() == [[*range(10), *[9] * 6]] * 3


def test_every_place_of_a_song_is_trained_on(tmp_path, model):
    corpus = numbered(tmp_path / "c", model, [20])
    source = windows_of(corpus, 0)
    starts = {int(n) for step in range(20) for n in source.batch(step, 10).tokens[:, 0]}
    assert starts == {0, 2, 4, 6, 8}


def test_a_tenth_of_the_windows_are_beginnings_and_songs_are_as_likely_as_long(tmp_path, model):
    corpus = numbered(tmp_path / "c", model, [9000, 3000])
    source = windows_of(corpus, 1)
    starts = np.concatenate([source.batch(step, 100).tokens[:, 0] for step in range(20)])
    assert 0.08 < np.isin(starts, (0, 9000)).mean() < 0.12
    assert 0.72 < (starts < 9000).mean() < 0.78


def test_a_prior_learns_what_comes_next_and_who_plays(corpus, tmp_path, registry):
    model = new_model(tmp_path / "dense", prior=replace(PRIOR, patterns=("dense",), depth=3))
    task = prepare_prior_task(model, 1, corpus, registry, batch=8)
    plan = TrainingConfig(steps=600, learning_rate=5e-3, warmup_steps=10, precision="fp32")
    unigram = 2.0  # bits: four tokens, each as frequent
    assert train(task, model, plan)["bits"] < unigram / 4
    for artist, following in (("Up", 6), ("Down", 2)):
        ids = torch.tensor([[task.windows.conditioners["artist"].artist_id(artist)]])
        conditions = task.module.condition({"artist": {"ids": ids}})
        shares = task.module(torch.tensor([[4, 0]]), conditions)[0, 1].softmax(0)
        assert shares[following] > 0.9


def test_a_corpus_of_another_codec_is_refused(model, corpus, registry, tmp_path):
    other = new_model(tmp_path / "other", replace(CODEC, bins=32))
    with pytest.raises(InputError) as caught:
        prepare_prior_task(other, 0, corpus, registry)
    assert caught.value.message == f"{corpus.path} was tokenized with another model than 'other'"
    assert caught.value.hint == "tokenize it anew with this one"


def test_a_corpus_without_songs_to_train_on_is_refused(model, registry, tmp_path):
    corpus = new_corpus(tmp_path / "empty", model)
    add(corpus, "Up", np.arange(200) % 8, held_out=True)
    with pytest.raises(InputError) as caught:
        prepare_prior_task(model, 0, corpus, registry)
    assert caught.value.message == f"{corpus.path} holds no songs to train on"
    assert caught.value.hint == "add some with `tokenize`"


def test_a_level_that_the_model_has_not_is_refused(model, corpus, registry):
    with pytest.raises(InputError) as caught:
        prepare_prior_task(model, 2, corpus, registry)
    assert caught.value.message == "model 'model' has no level 2"
    assert caught.value.hint == "its levels are 0, 1"


def test_the_vocabulary_is_learned_once_and_kept(model, corpus, registry):
    prepare_prior_task(model, 0, corpus, registry)
    learned = {"artist": {"names": ["Down", "Up"], "also": {}, "lenient": False}}
    assert model.learned(0) == learned
    add(corpus, "Newcomer", np.arange(200) % 8)
    assert isinstance(prepare_prior_task(model, 0, corpus, registry), PriorTask)
    assert model.learned(0) == learned


def test_songs_held_out_are_never_trained_on(model, corpus, registry):
    task = prepare_prior_task(model, 0, corpus, registry)
    assert [e.held_out for e in task.windows.songs] == [False] * 4
    assert [e.held_out for e in task.held_out_windows.songs] == [True] * 2
    assert task.windows.seed != task.held_out_windows.seed
