"""align: which letter is sung when, from where a head looks."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from jukebox_plugins.lyrics.alignment import (
    AlignmentContext,
    align,
    lines,
    lrc,
    lrc_time,
    lyrics_level,
)
from jukebox_plugins.lyrics.hmm import (
    character_onsets,
    diagonality,
    log_likelihood_ratios,
    self_transition_probs,
    speedup,
)
from jukebox_plugins.lyrics.text import parse_lyrics

from jukebox_cli.model.condition_inputs import prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import audio_window
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.storage.model import Model
from support.tiny_model import LEARNED, TINY, make_tiny

FIELDS = {"letters": 16, "width": 16, "depth": 1, "heads": 2, "blocks": 4}


def singing(form: str) -> str:
    """A tiny model whose top level is told lyrics."""
    data = yaml.safe_load(TINY)
    top = data["priors"][2]
    top["conditioners"] = {"artist": {}, "lyrics": {**FIELDS, "form": form}}
    top["patterns"] = ["row", form, "dense"]
    top["prefix"] = 16 if form == "prefix" else 0
    text: str = yaml.safe_dump(data)
    return text


def band(sung: list[int], letters: int, width: float = 1.0) -> np.ndarray:
    """Attention (T, L) of a head that looks at a letter and a little beside it."""
    there = np.arange(letters)[None] - np.array(sung)[:, None]
    looks = np.exp(-((there / width) ** 2))
    array: np.ndarray = looks / looks.sum(axis=1, keepdims=True)
    return array


# when letters are sung

FRAME = 0.02


def sung_from(looks: np.ndarray, told: np.ndarray | None = None) -> np.ndarray:
    """The frame at which each letter begins by what a head looks at, (T, L)."""
    letters = looks.shape[1]
    evenly = np.arange(len(looks)) * letters / len(looks)
    everywhere = np.ones(looks.shape, bool)
    scores = log_likelihood_ratios(looks, everywhere if told is None else told, evenly)
    ends = np.zeros(letters, bool)
    frame = FRAME * speedup(ends, FRAME * len(looks))
    return character_onsets(scores, self_transition_probs(ends, frame), letters + 1, frame)[1:-1]


def text(random: np.random.Generator, rest: int = 60) -> np.ndarray:
    """The letter of every frame of a song of 60 letters, which rests twice."""
    lasts = random.integers(3, 12, 60)
    lasts[[10, 20]] += rest
    return np.repeat(np.arange(60), lasts)


def test_letters_begin_where_a_head_comes_to_look_at_them() -> None:
    sung = text(np.random.default_rng(0))
    found = sung_from(band(sung.tolist(), 60))
    true = np.searchsorted(sung, np.arange(60))
    assert (np.diff(found) >= 0).all()
    assert np.abs(found - true).max() <= 12
    assert np.median(np.abs(found - true)) <= 3


def test_what_a_head_expects_wherever_it_listens_is_left_out() -> None:
    """A head that mostly looks around the even place, and there more at what is sung."""
    sung = text(np.random.default_rng(1), rest=120)
    frames = np.arange(len(sung))
    even = band((frames * 60 / len(sung)).astype(int).tolist(), 60, width=10.0)
    looks = even * (band(sung.tolist(), 60) + 0.05)
    looks /= looks.sum(axis=1, keepdims=True)
    assert np.abs(looks @ np.arange(60) - sung).mean() > 3  # letters
    found = sung_from(looks)
    true = np.searchsorted(sung, np.arange(60))
    evenly = np.arange(60) * len(sung) / 60
    assert np.abs(evenly - true).mean() > 25
    assert np.abs(found - true).mean() < 10


def test_letters_that_a_window_is_not_told_are_walked_through() -> None:
    sung = text(np.random.default_rng(2))
    looks = band(sung.tolist(), 60)
    told = np.abs(np.arange(60) - sung[:, None]) < 20
    blind = (sung > 20) & (sung < 30)  # a window of other parse_lyrics
    told[blind] = np.arange(60) >= 40
    found = sung_from(np.where(told, looks, 0.0), told)
    true = np.searchsorted(sung, np.arange(60))
    assert np.abs(found - true)[np.r_[:15, 35:60]].max() <= 12
    assert (np.diff(found) >= 0).all()


def test_lines_may_end_in_a_rest() -> None:
    ends = np.array([False, False, True, False])
    longer = self_transition_probs(ends, FRAME)
    assert longer.shape == (6,)
    assert longer[0] == longer[3] == longer[5] > longer[1] == longer[2] == longer[4]


def test_nothing_is_sung_before_the_first_letter_and_after_the_last() -> None:
    looks = np.zeros((60, 3))
    looks[10:23, 0], looks[23:36, 1], looks[36:40, 2] = 1, 1, 1  # elsewhere it looks at no letter
    told = np.ones(looks.shape, bool)
    scores = log_likelihood_ratios(looks, told, np.arange(60) / 20)
    found = character_onsets(scores, self_transition_probs(np.zeros(3, bool), FRAME), 4, FRAME)
    assert found.tolist() == pytest.approx([0, 10, 23, 36, 40], abs=1)


def test_words_that_a_song_does_not_come_to_have_no_time() -> None:
    looks = band(np.repeat(np.arange(20), 8).tolist(), 400)
    found = sung_from(looks)
    assert np.abs(found[:18] - np.arange(18) * 8).max() <= 12
    assert (found[100:] == -1).all()


@pytest.mark.parametrize("shape", [(1, 3), (4, 0)])
def test_nothing_to_walk_through(shape: tuple[int, int]) -> None:
    assert sung_from(np.zeros(shape)).shape == (shape[1],)


# the head


def test_a_head_that_follows_the_words_is_told_from_others() -> None:
    random = np.random.default_rng(0)
    follows = diagonality(band(list(range(40)), 40))
    roughly = diagonality(band(list(range(40)), 40, width=12.0))
    stuck = diagonality(band([7] * 40, 40))
    wild = diagonality(band(random.integers(0, 40, 40).tolist(), 40))
    back = diagonality(band(list(range(40))[::-1], 40))
    assert follows > 0.5
    assert follows > roughly > 0.05
    assert max(abs(stuck), abs(wild)) < 0.3
    assert back < -0.5


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (5, 1), (5, 0)])
def test_a_window_with_nothing_to_follow_says_nothing(shape: tuple[int, int]) -> None:
    assert diagonality(np.ones(shape)) == 0
    assert diagonality(np.zeros((5, 5))) == 0


# what is written


def test_words_have_times_and_what_is_not_sung_has_none() -> None:
    text = "we go\nfar off"
    times = np.array([-1, -1, -1, 0.5, 0.7, 1.0, 1.2, 1.3, 1.5, 2.0, -1, -1, -1])
    found = lines(text, times, 4.0, [[6, "Verse"]])
    assert found == [
        {
            "text": "we go",
            "start": 0.5,
            "end": 1.0,
            "words": [{"word": "we"}, {"word": "go", "start": 0.5, "end": 1.0}],
        },
        {"section": "Verse"},
        {
            "text": "far off",
            "start": 1.2,
            "end": 2.0,
            "words": [{"word": "far", "start": 1.2, "end": 2.0}, {"word": "off"}],
        },
    ]
    assert lrc({"lines": found}, parse_lyrics=False) == "[00:00.50]we go\n[00:01.20]far off\n"
    assert lrc({"lines": found}, parse_lyrics=True) == (
        "[00:00.50]we <00:00.50>go<00:01.00>\n[00:01.20]<00:01.20>far<00:02.00>\n"
    )


def test_what_is_written_is_read_again() -> None:
    text = "we go\nfar off"
    times = np.arange(13) / 2
    found = lines(text, times, 9.0, [])
    again = parse_lyrics(lrc({"lines": found}, parse_lyrics=True))
    assert again["lyrics"] == text
    assert dict(map(tuple, again["lyrics_times"]))[6] == 3.0


def test_clocks() -> None:
    assert [lrc_time(s) for s in (0, 1.234, 59.999, 61.5, 3600)] == [
        "00:00.00",
        "00:01.23",
        "01:00.00",
        "01:01.50",
        "60:00.00",
    ]


# the command


@pytest.fixture(scope="module", params=["memory", "prefix"])
def singer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, registry: Registry
) -> Path:
    """A model that is told lyrics, with random weights."""
    form = request.param
    learned = {**LEARNED, "lyrics": {**FIELDS, "form": form, "alphabet": "\n abefgorwy"}}
    path = tmp_path_factory.mktemp("models") / f"singer-{form}"
    return make_tiny(path, registry, singing(form), learned).path


@pytest.fixture
def sung(singer: Path, here: Path, jukebox: Callable[..., Any]) -> Path:
    """A run of two items with parse_lyrics."""
    parse_lyrics = ("[Verse]\nwe go far\nfar away", "--seconds", 0.5, "--items", 2)
    made = jukebox(
        *(
            "generate",
            "--model",
            singer,
            "--out",
            "run",
            "--until",
            "top",
            "-q",
            "--lyrics",
            *parse_lyrics,
        )
    )
    assert made.code == 0, made.err
    return here / "run"


def test_a_run_is_aligned(sung: Path, jukebox: Callable[..., Any]) -> None:
    done = jukebox("align", sung)
    assert done.code == 0, done.err
    files = [sung / "alignment" / f"item-0{n}.json" for n in (0, 1)]
    assert done.out.split() == [str(f) for f in files]
    assert "follows the words" in done.err
    found = json.loads(files[0].read_text())
    assert (found["format"], found["item"], found["level"], found["layer"]) == (1, 0, 2, 1)
    assert found["lines"][0] == {"section": "Verse"}
    assert [line["text"] for line in found["lines"][1:]] == ["we go far", "far away"]
    times = [w["start"] for line in found["lines"][1:] for w in line["words"] if "start" in w]
    assert times
    assert times == sorted(times)
    assert all(0 <= time <= 0.5 for time in times)
    assert (sung / "alignment" / "item-00.lrc").exists()
    assert (sung / "alignment" / "item-00.words.lrc").exists()
    assert "aligned" in (sung / "log.jsonl").read_text()


def test_words_are_found_where_a_head_looks_at_them(
    singer: Path, here: Path, registry: Registry, jukebox: Callable[..., Any]
) -> None:
    text = "we go far\nwe go far away\nfar off we go"
    parse_lyrics = ("--lyrics", text, "--seconds", 2, "--until", "top", "-q")
    assert jukebox("generate", "--model", singer, "--out", "run", *parse_lyrics).code == 0
    job = reopen_job(here / "run", registry, None)
    level, lyrics = lyrics_level(job)
    prior = load_prior(job.model, level, registry, torch.device("cpu"))
    sung = AlignmentContext(job, level, lyrics, prior)
    spelled, shape = lyrics.encode_text(job.song(0)), prior_shape(job.model.config, level)
    pace = len(text) / job.num_tokens(level, 0)  # letters a token
    stretches = iter(job.token_windows(level, 0, 0))

    def looks(tokens: torch.Tensor, conditions: object, layer: int) -> torch.Tensor:
        stretch = next(stretches)
        window = audio_window(job, level, 0, stretch)
        place = lyrics.text_window(job.song(0), spelled, window, shape)
        shares = torch.zeros(1, 2, tokens.shape[1], lyrics.letters)
        for n in range(tokens.shape[1]):
            letter = int((stretch.start + n) * pace)
            if place.start <= letter < place.end:
                shares[0, 1, n, place.slot + letter - place.start] = 1.0
        return shares

    prior.attention_weights = looks  # type: ignore[method-assign]
    found = align(sung, 0, (1, 1))
    character_onsets = [w["start"] for line in found["lines"] for w in line["words"]]
    seconds = (
        job.num_tokens(level, 0) * shape.hop_length / shape.sample_rate / len(text)
    )  # of a letter
    wanted = [match.start() * seconds for match in re.finditer(r"\S+", text)]
    assert character_onsets == pytest.approx(wanted, abs=0.05)


def test_a_head_that_is_known_is_not_looked_for(
    singer: Path, here: Path, registry: Registry, jukebox: Callable[..., Any]
) -> None:
    for head in (0, 1):
        shutil.copytree(singer, here / f"known-{head}")
        model = Model(here / f"known-{head}")
        learned = model.fitted_conditioners(2)
        model.write_fitted_conditioners(
            2, {**learned, "lyrics": {**learned["lyrics"], "align": [1, head]}}
        )
        parse_lyrics = ("--lyrics", "we go", "--seconds", 0.2, "--until", "top", "-q")
        assert (
            jukebox("generate", "--model", model.path, "--out", f"run-{head}", *parse_lyrics).code
            == 0
        )
        assert f"head {head} of layer 1" in jukebox("align", f"run-{head}").err


def test_a_model_tells_its_letters(singer: Path, jukebox: Callable[..., Any]) -> None:
    assert "\nlyrics: a, b, e, f, g, o, r, w, y\n" in jukebox("model", "show", singer).out


def test_a_head_can_be_chosen_and_items_too(sung: Path, jukebox: Callable[..., Any]) -> None:
    done = jukebox("align", sung, "--head", "1,0", "--only", 1, "--json", "-q")
    assert (done.code, done.err) == (0, "")
    (path,) = json.loads(done.out)["alignments"]
    assert json.loads(Path(path).read_text())["head"] == 0
    assert not (sung / "alignment" / "item-00.json").exists()


def test_what_can_not_be_aligned_is_told(
    sung: Path, singer: Path, here: Path, tiny: Any, jukebox: Callable[..., Any]
) -> None:
    def told(*more: object) -> tuple[str, str]:
        done = jukebox("align", *more)
        assert done.code == 2
        error, _, hint = done.err.partition("\n\n")
        return error.removeprefix("error: "), hint.removeprefix("hint: ").strip()

    assert told(sung, "--head", "up") == (
        "can't read --head 'up'",
        "write layer and head, such as 3,1",
    )
    assert told(sung, "--head", "0,0") == (
        "head 0 of layer 0 looks at no lyrics",
        "those that do are layers 1, with heads 0 to 1",
    )
    half = next((sung / "tokens" / "level-2").glob("item-01*"))
    jukebox("continue", sung, "--seconds", 0.5, "--until", "top", "--out", "longer", "-q")
    half.unlink()
    (sung / "tokens" / "level-1").mkdir()
    half.with_name("item-00.safetensors").rename(
        sung / "tokens" / "level-1" / "item-00.safetensors"
    )
    assert told(sung, "--only", 0) == (
        f"item 0 of {sung} is not whole at level 2",
        "finish it with the command that began it",
    )
    common = ("--seconds", 0.2, "--until", "top", "-q")
    jukebox("generate", "--model", singer, "--out", "silent", *common)
    assert told("silent") == ("item 0 of silent has no lyrics", "choose others: --only")
    jukebox("generate", "--model", singer, "--out", "odd", "--lyrics", "\u2581 \u2582", *common)
    assert told("odd") == (
        "item 0 of odd has no lyrics in letters that the model knows",
        "choose others: --only",
    )
    jukebox("generate", "--model", tiny.path, "--out", "deaf", *common)
    assert told("deaf") == (
        "model 'tiny' was not told lyrics",
        "align a run of a model that sings",
    )
