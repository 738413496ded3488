"""lyrics: what is read, how it is spelled, which letters a window is told, and what reads them."""

from __future__ import annotations

from math import exp, log2, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from jukebox_plugins.lyrics import Lyrics
from jukebox_plugins.lyrics.charset import clamped_window, encode_text
from jukebox_plugins.lyrics.network import TARGET_WIDTH, attention_target
from jukebox_plugins.openai.original import ALPHABET

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.model.prior import Prior
from support.results import refusal

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)
UNKNOWN = torch.full((1, 16), torch.nan)
NOWHERE = UNKNOWN, torch.zeros(1, 16), UNKNOWN  # told no times
TINY = {"letters": 8, "width": 16, "depth": 3, "heads": 2, "blocks": 4, "alphabet": "abcdefgh"}


# what is read


def test_words_are_read_as_they_stand_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("\nla la\r\nlu\n", encoding="utf-8")
    for said, text in (
        ("la la", "la la"),
        ("words.txt", "la la\nlu"),
        ("two lines\nwords.txt", "two lines\nwords.txt"),
        ("cafe\u0301", "caf\u00e9"),
        ("", ""),
    ):
        assert Lyrics().read({"lyrics": said}, tmp_path)["lyrics"] == text


def test_words_that_can_not_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_bytes(b"\xff\xfe\x00")
    read, hint = Lyrics().read, "write them in quotes, or name a file"
    assert refusal(read, {"lyrics": 3}, tmp_path) == ("can't read lyrics 3", hint)
    missing = f"no file {tmp_path / 'none.txt'}"
    assert refusal(read, {"lyrics": "none.txt"}, tmp_path) == (missing, "check the path")
    binary = f"{tmp_path / 'song.txt'} is not a text file"
    assert refusal(read, {"lyrics": "song.txt"}, tmp_path) == (binary, "save it as UTF-8")


# how it is spelled


def spelled(text: str, alphabet: str) -> str:
    return "".join(alphabet[number - 1] for number in encode_text(text, alphabet).ids)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Tea (for 2)!\n", "Tea (for 2)!\n"),
        ("naïve café", "naive cafe"),
        ("don\u2019t \u201cstop\u201d \u2014 now\u2026", 'don\'t "stop" - now...'),
        ("straße", "strasse"),
        ("Привет", "Privet"),
        ("one\\two", "one\ntwo"),
        ("a 😀 b {c} ~", "a  b c "),
        ("", ""),
    ],
)
def test_letters_that_are_not_known_are_spelled_in_those_that_are(text: str, wanted: str) -> None:
    assert spelled(text, ALPHABET) == wanted


def test_capitals_are_sung_by_a_model_that_has_none_and_the_other_way_round() -> None:
    small = " Iadeghimnorstuwy\n"
    assert spelled("We Go HOME, I say", small) == "we go home I say"
    assert spelled("Ärger", small) == "arger"
    assert spelled("日本語", small) == "rienyu"
    assert spelled("we go", "WEGO ") == "WE GO"


def test_a_file_of_any_kind_is_read_and_one_with_nothing_to_sing_is_told(tmp_path: Path) -> None:
    (tmp_path / "song.md").write_text("we go\n")
    (tmp_path / "empty.txt").write_text("[Chorus]\n")
    read = Lyrics().read
    assert read({"lyrics": "song.md"}, tmp_path)["lyrics"] == "we go"
    assert read({"lyrics": "we go."}, tmp_path)["lyrics"] == "we go."
    assert read({"lyrics": "other.md"}, tmp_path)["lyrics"] == "other.md"
    assert read({"lyrics": ""}, tmp_path)["lyrics"] == ""  # nobody is to sing
    with pytest.warns(InputWarning, match="lyrics: there is nothing to sing in empty.txt"):
        read({"lyrics": "empty.txt"}, tmp_path)


def test_a_learned_alphabet_keeps_every_letter_as_it_is() -> None:
    songs = [{"lyrics": "Hé, 東京"}, {"lyrics": "né\n"}, {}]
    lyrics = Lyrics().fit(songs)
    assert lyrics.alphabet == "".join(sorted(set("Hé, 東京né\n")))
    assert spelled("東 né", lyrics.alphabet) == "東 né"
    assert spelled("è", lyrics.alphabet) == ""  # there is no e without an accent


# which letters a window is told


@pytest.mark.parametrize(
    ("length", "middle", "wanted"),
    [
        (3, 0, (0, 3)),
        (7, 6, (0, 7)),
        (8, 0, (0, 8)),
        (20, 0, (0, 8)),
        (20, 4, (0, 8)),
        (20, 9, (5, 13)),
        (20, 16, (12, 20)),
        (20, 19, (12, 20)),
    ],
)
def test_a_window_of_letters(length: int, middle: int, wanted: tuple[int, int]) -> None:
    assert clamped_window(length, 8, middle) == wanted


def told(text: str, start: int, total: int, song_total: float | None = None) -> str:
    """The letters of a window of 2000 samples; a dot where there is none."""
    lyrics = Lyrics(max_characters=8, rows=4, center_window=False, charset=ALPHABET)
    song = {"lyrics": text} if song_total is None else {"lyrics": text, "total": song_total}
    row = lyrics.encode(song, Window(start, 2000, total), SHAPE)["ids"]
    return "".join("." if number == 0 else ALPHABET[number - 1] for number in row)


def test_letters_move_with_the_window_as_if_words_were_sung_evenly() -> None:
    text = "abcdefghijklmnopqrst"  # a letter every 1000 samples of 20,000
    assert told(text, 0, 20_000) == "abcdefgh"
    assert told(text, 9_000, 20_000) == "ghijklmn"
    assert told(text, 18_000, 20_000) == "mnopqrst"
    assert told(text, 9_000, 10_000, song_total=2.5) == "ghijklmn"  # the beginning of a longer song
    assert told("abc", 9_000, 20_000) == ".....abc"
    assert told("", 0, 20_000) == "........"


# what reads them


def ids(*texts: str) -> torch.Tensor:
    return torch.tensor([["_abcdefgh".index(letter) for letter in text] for text in texts])


def test_an_encoder_makes_a_memory_and_foretells_letters_from_those_before() -> None:
    torch.manual_seed(0)
    encoder = Lyrics(**TINY).module(SHAPE).eval()
    one, other = (encoder(ids(text), *NOWHERE) for text in ("abcdefgh", "abcdefha"))
    assert one.memory.shape == (1, 8, 12)
    torch.testing.assert_close(one.memory[:, :7], other.memory[:, :7])  # 0 to 6 see up to 5
    assert not torch.allclose(one.memory[:, 7], other.memory[:, 7])


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_loss_of_letters_is_in_bits_per_token_of_music(share: float) -> None:
    encoder = Lyrics(**TINY, prediction_loss_weight=share).module(SHAPE)
    with torch.no_grad():
        encoder.out.zero_()  # it knows nothing
    loss = encoder(ids("abcdefgh", "hgfedcba"), *NOWHERE).loss
    assert loss.item() == pytest.approx(share * 8 * log2(9) / SHAPE.context_length)


@pytest.mark.parametrize("tied", [True, False])
def test_a_prefix_is_letters_with_embeddings_of_their_own(tied: bool) -> None:
    module = Lyrics(**TINY, form="prefix", tie_embeddings=tied).module(SHAPE)
    prefix = module(ids("abcdefgh"), *NOWHERE).prefix
    assert prefix.ids.tolist() == [list(range(1, 9))]
    assert prefix.letters.shape == (9, 12)
    assert (prefix.out is None) == tied
    assert prefix.share.tolist() == pytest.approx([0.4] * 8)


# where it learns to look


def sung_at(times: list[list[float]], start: int = 0) -> list[float]:
    """The slots of what is sung in a window of 2 s with 4 frames; -1 where nobody knows."""
    lyrics = Lyrics(max_characters=8, rows=4, charset="abcdefgh")
    song = {"lyrics": "abcdefgh", "lyrics_times": times}
    told = lyrics.encode(song, Window(start, 2000, 8000), PriorShape(8, 4, 500, 1000))
    return [-1.0 if n != n else float(n) for n in told["timed_positions"]]


def test_frames_know_the_slot_of_the_letter_that_is_sung() -> None:
    evenly = [[0, 0.0], [8, 8.0]]  # letter 1 is sung in the middle, and stands in slot 4
    assert sung_at(evenly) == [3.0, 3.5, 4.0, 4.5]
    assert sung_at([[0, 0.5], [4, 1.0]]) == [-1.0, 0.0, 4.0, -1.0]
    assert sung_at([]) == [-1.0] * 4


def test_heads_are_guided_to_what_is_sung_and_nowhere_where_nobody_knows() -> None:
    shares = attention_target(torch.tensor([[4.0, nan, -1.0, 8.5]]), 9)
    assert shares.shape == (1, 4, 9)
    bell = [exp(-((s - 4) ** 2) / (2 * TARGET_WIDTH**2)) for s in range(9)]
    assert shares[0, 0].tolist() == pytest.approx([b / sum(bell) for b in bell])
    assert not shares[0, 1:].any()  # the last two are letters that it isn't told


@pytest.mark.parametrize("guide", [0.0, 0.5])
def test_heads_learn_to_follow_what_is_sung(guide: float) -> None:
    torch.manual_seed(0)
    knobs = {**TINY, "letters": 16, "share": 0.0, "guide": guide}
    encoder = Lyrics(**knobs).module(
        PriorShape(width=32, context_length=16, hop_length=1, sample_rate=16)
    )
    config = PriorConfig(
        context_length=16, width=32, depth=2, rows=4, attention_patterns=("row", "memory")
    )
    prior = Prior(config, 8, {"lyrics": encoder}).train()
    letters = torch.arange(16).remainder(8).add(1).expand(4, -1)
    there = torch.arange(16.0).expand(4, -1)
    arrays = {"lyrics": {"ids": letters, "sung": there, "evenly": there, "guide": there}}
    tokens = letters.remainder(8)
    learn = torch.optim.Adam(prior.parameters(), 3e-3)

    def seen() -> float:
        """The share of the first head's attention that is attention_target what is sung."""
        prior.eval()
        with torch.inference_mode():
            looks = prior.attention_weights(tokens, prior.condition(arrays), 1)[0, 0]
        prior.train()
        return float(sum(looks[n, max(0, n - 3) : n + 4].sum() for n in range(16)) / 16)

    before = seen()
    for _ in range(200):
        learn.zero_grad()
        prior.loss(tokens, prior.condition(arrays)).total.backward()
        learn.step()
    assert before < 0.6
    assert (seen() > 0.75) is (guide > 0)


@pytest.mark.parametrize("hints", [True, False])
def test_frames_are_told_where_they_stand_in_the_words(hints: bool) -> None:
    encoder = Lyrics(**TINY, alignment_encoding=hints).module(SHAPE).eval()
    evenly = torch.zeros(1, 16)
    told = (UNKNOWN, evenly + 3)
    unknown, known = (encoder(ids("abcdefgh"), sung, evenly, UNKNOWN) for sung in told)
    assert (unknown.memory_places is None) is not hints
    if hints:
        assert unknown.memory_places.shape == (1, 16, 12)
        assert not torch.allclose(unknown.memory_places, known.memory_places)


def test_mostly_only_the_guide_knows_when_words_are_sung() -> None:
    lyrics = Lyrics(**{**TINY, "letters": 16})
    song = {"lyrics": "abcdefgh", "lyrics_times": [[0, 0.0], [8, 1.0]]}
    random = np.random.default_rng(0)
    varied = [lyrics.vary(song, random) for _ in range(200)]
    untold = [each for each in varied if each is not song]
    assert 130 < len(untold) < 170
    window = Window(7000, 2048, 80_000)  # the end of the words, at the beginning of the song
    whole, less = (lyrics.encode(each, window, SHAPE) for each in (song, untold[0]))
    without = lyrics.encode({"lyrics": "abcdefgh"}, window, SHAPE)
    assert without["ids"].tolist() == less["ids"].tolist() != whole["ids"].tolist()
    assert np.isnan(less["timed_positions"]).all()
    said, heard = (slots["ids"][int(slots["target_positions"][0])] for slots in (whole, less))
    assert said == heard == lyrics.alphabet.index("h") + 1
    assert lyrics.vary({"lyrics": "abc"}, random) == {"lyrics": "abc"}


def test_the_guide_is_no_part_of_what_is_measured() -> None:
    encoder = Lyrics(**TINY).module(SHAPE)
    told = (ids("abcdefgh"), *NOWHERE)
    assert encoder.train()(*told).memory_guide.shape == (1, 16, 8)
    assert encoder.eval()(*told).memory_guide is None
