"""The plugin's own tests: `pytest` in this folder, with jukebox-cli and the plugin installed."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import jukebox_energy
import numpy as np
import pytest
import soundfile
import torch
from jukebox_energy.command import measure_energy
from jukebox_energy.conditioner import Energy, parse_energy
from jukebox_energy.sampler import Fresh

from jukebox_cli.api import InputError, PriorShape, Registry, Window, read_options
from jukebox_cli.api.testing import run_command, write_tiny_model

SHAPE = PriorShape(width=8, context_length=4, hop_length=10, sample_rate=100)
REGISTRY = Registry({"energy": jukebox_energy})
FIRST, LAST = Window(0, 40, 80), Window(40, 40, 80)


def write(path: Path, loudness: float) -> Path:
    sound = loudness * np.random.default_rng(0).standard_normal(22050)
    soundfile.write(path, sound, 22050, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("0.5", [0.5, 0.5]),
        (0.5, [0.5, 0.5]),
        ("Calm", [0.1, 0.1]),
        ("0.2..0.9", [0.2, 0.9]),
        ("calm..full", [0.1, 0.95]),
        ([0.2, 0.9], [0.2, 0.9]),
    ],
)
def test_read_keeps_numbers(value: object, kept: list[float]) -> None:
    assert Energy().read({"energy": value}, Path()) == {"energy": kept}


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("clam", "no energy 'clam'", "did you mean 'calm'?"),
        ("purple", "no energy 'purple'", "known are: calm, steady, driving, full"),
        ("1.5", "energy must be from 0 to 1, not 1.5", "try 0.5"),
        ("nan", "energy must be from 0 to 1, not nan", "try 0.5"),
        ("0..1..0", "energy '0..1..0' has 3 parts", "write 0.5, or 0.2..0.9"),
    ],
)
def test_what_can_not_be_read_is_an_error(value: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        Energy().read({"energy": value}, Path())
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_all_words_are_parsed() -> None:
    assert [parse_energy(word) for word in ("calm", "steady", "driving", "full")] == sorted(
        [0.1, 0.4, 0.7, 0.95]
    )


def test_fit_learns_the_range_of_the_corpus() -> None:
    fitted = Energy(num_bins=4).fit([{"energy": [0.3, 0.3]}, {"energy": [0.2, 0.8]}, {}])
    assert asdict(fitted) == {"num_bins": 4, "low": 0.2, "high": 0.8}
    assert Energy().fit([{}]) == Energy()


def test_encode_follows_the_song_through_its_windows() -> None:
    song = {"energy": [0.0, 1.0]}
    windows = [Energy().encode(song, window, SHAPE) for window in (FIRST, LAST)]
    together = np.concatenate([arrays["energy"] for arrays in windows])
    np.testing.assert_allclose(together, np.arange(8) / 8)
    assert together.dtype == np.float32


def test_encode_works_without_a_song_and_in_a_worker() -> None:
    arrays = pickle.loads(pickle.dumps(Energy())).encode({}, FIRST, SHAPE)
    assert arrays["energy"].shape == (4,)
    assert not arrays["is_given"][0]


@pytest.mark.parametrize(
    ("song", "text"),
    [
        ({"energy": [0.5, 0.5]}, "0.5"),
        ({"energy": [0.2, 0.9]}, "from 0.2 to 0.9"),
    ],
)
def test_values_are_described_and_given_back(song: dict[str, list[float]], text: str) -> None:
    assert Energy().describe(song) == {"energy": text}
    assert read_options(Energy(), Energy().to_options(song)) == song
    assert Energy().to_options({}).options == ()


def test_the_network_distinguishes_energies() -> None:
    network = Energy(num_bins=4).module(SHAPE)
    energy = torch.tensor([[0.0] * 4, [1.0] * 4, [1.0] * 4])
    per_token = network(energy, torch.tensor([[True], [True], [False]])).per_token  # (B, T, W)
    assert per_token.shape == (3, 4, 8)
    assert not torch.equal(per_token[0], per_token[1])
    assert torch.equal(per_token[2], torch.zeros(4, 8))


def test_the_sampler_lowers_recent_tokens_of_each_row() -> None:
    logits = torch.zeros(2, 4)
    shaped = Fresh(fresh=2.0)(logits, torch.tensor([[1, 1], [3, 0]]))
    assert shaped.tolist() == [[0, -2, 0, 0], [-2, 0, 0, -2]]
    assert torch.equal(Fresh(fresh=2.0)(logits, torch.zeros(2, 0, dtype=torch.long)), logits)


@pytest.mark.parametrize("value", [-1.0, 101.0, 1e308, float("nan"), float("inf")])
def test_values_out_of_range_are_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 100"):
        Fresh(fresh=value)
    model = write_tiny_model(tmp_path / "tiny", REGISTRY)
    words = ("generate", "--model", model.path, "--out", tmp_path / "run")
    result = run_command(REGISTRY, *words, "--fresh", value)
    error = f"error: --fresh must be from 0 to 100, not {value:g}\n\nhint: try 1\n"
    assert (result.exit_code, result.stderr) == (2, error)


def test_a_number_of_bins_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="must be from 1 to 65536"):
        Energy(num_bins=0)


def test_louder_is_more_energy(tmp_path: Path) -> None:
    quiet, loud = write(tmp_path / "quiet.wav", 0.01), write(tmp_path / "loud.wav", 0.3)
    assert 0 <= measure_energy(quiet) < measure_energy(loud) <= 1


def test_the_command_prints_a_manifest(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", 0.1)
    result = run_command(REGISTRY, "energy", path)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"audio": str(path), "energy": measure_energy(path)}


def test_the_event_hook_records_the_speed(tmp_path: Path) -> None:
    hook = REGISTRY.manager.hook.jukebox_event
    sampled = {"time": 0.0, "event": "sampled", "level": 2, "tokens": 64, "seconds": 0.5}
    for event in ({"time": 0.0, "event": "level", "level": 2}, sampled, sampled):
        hook(run=tmp_path, event=event)
    assert (tmp_path / "speed.csv").read_text() == "level,tokens,seconds\n2,64,0.5\n2,64,0.5\n"
