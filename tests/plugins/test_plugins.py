"""The contract that every installed conditioner keeps."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import asdict, fields

import numpy as np
import pytest
import torch

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.model.conditioning import Conditioning, sum_conditionings
from jukebox_cli.registry import load_installed

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)
TOTAL = 5 * SHAPE.context_length * SHAPE.hop_length
WINDOWS = [
    Window(
        n * SHAPE.context_length * SHAPE.hop_length, SHAPE.context_length * SHAPE.hop_length, TOTAL
    )
    for n in range(5)
]
SONGS: list[Song] = [
    {"artist": "Bo Marsh", "genre": ["rock", "jazz"]},
    {"artist": "Ada Vale", "genre": ["folk"]},
    {},
]
REGISTRY = load_installed(pytest.fail)


def fitted(name: str) -> Conditioner:
    return REGISTRY.make_conditioner(name, {}).fit(SONGS)


@pytest.mark.parametrize("name", REGISTRY.conditioners)
def test_arrays_have_one_shape_whatever_the_song_and_window(name: str) -> None:
    conditioner = fitted(name)
    signatures = set()
    for song in SONGS:
        for window in WINDOWS:
            arrays = conditioner.encode(song, window, SHAPE)
            assert arrays
            signatures.add(tuple((key, a.shape, a.dtype.str) for key, a in sorted(arrays.items())))
    assert len(signatures) == 1


@pytest.mark.parametrize("name", REGISTRY.conditioners)
def test_encoding_is_pure_and_picklable(name: str) -> None:
    conditioner = fitted(name)
    sent = pickle.loads(pickle.dumps(conditioner))
    assert sent == conditioner
    for song in SONGS:
        first, again, unpickled = (
            c.encode(song, WINDOWS[1], SHAPE) for c in (conditioner, conditioner, sent)
        )
        for key, array in first.items():
            np.testing.assert_array_equal(again[key], array)
            np.testing.assert_array_equal(unpickled[key], array)


@pytest.mark.parametrize("name", REGISTRY.conditioners)
def test_fitted_fields_survive_json(name: str) -> None:
    conditioner = fitted(name)
    saved = json.loads(json.dumps(asdict(conditioner)))
    assert REGISTRY.make_conditioner(name, saved) == conditioner


@pytest.mark.parametrize("name", REGISTRY.conditioners)
def test_fit_returns_a_copy_and_works_without_songs(name: str) -> None:
    conditioner = REGISTRY.make_conditioner(name, {})
    before = asdict(conditioner)
    conditioner.fit(SONGS)
    assert asdict(conditioner) == before
    conditioner.fit([]).encode({}, WINDOWS[0], SHAPE)
    assert conditioner.fit(SONGS) == conditioner.fit(list(reversed(SONGS)))


@pytest.mark.parametrize("name", REGISTRY.conditioners)
def test_the_module_returns_a_conditioning_of_the_priors_shape(name: str) -> None:
    conditioner = fitted(name)
    module = conditioner.module(SHAPE)
    rows = [conditioner.encode(song, WINDOWS[1], SHAPE) for song in SONGS]
    arrays = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
    out = module(**arrays)
    assert isinstance(out, Conditioning)
    batch, width = len(SONGS), SHAPE.width
    tensors = {
        f.name: getattr(out, f.name) for f in fields(out) if getattr(out, f.name) is not None
    }
    assert tensors
    for key, tensor in tensors.items():
        expected = {
            "start": (batch, width),
            "per_token": (batch, SHAPE.context_length, width),
            "memory": (batch, tensor.shape[1:2].numel(), width),
            "query_encoding": (batch, SHAPE.context_length, width),
            "attention_target": (batch, SHAPE.context_length, tensor.shape[2:3].numel()),
            "memory_mask": (batch, tensor.shape[1:2].numel()),
            "prefix": (batch, tensor.shape[1:2].numel(), width),
            "loss": (),
        }[key]
        assert tuple(tensor.shape) == expected
    for item in range(batch):  # items of a batch do not mix
        alone = module(**{key: a[item : item + 1] for key, a in arrays.items()})
        for key, tensor in tensors.items():
            if key != "loss":
                torch.testing.assert_close(getattr(alone, key)[0], tensor[item])


@pytest.mark.parametrize("name", REGISTRY.conditioners)
def test_every_input_has_a_help_text(name: str) -> None:
    for f in fields(REGISTRY.conditioners[name].Input):
        assert f.default is None
        assert "Annotated[" in str(f.type)


def test_conditioners_do_not_import_torch_before_module() -> None:
    """In a process of its own: read, fit and encode of every conditioner."""
    code = f"""
import sys
from pathlib import Path
from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.registry import load_installed
registry = load_installed(print)
for name in registry.conditioners:
    conditioner = registry.make_conditioner(name, {{}})
    if name in ("artist", "genre"):
        conditioner.read({{name: "rock"}}, Path())
    conditioner = conditioner.fit({SONGS!r})
    conditioner.encode({SONGS[0]!r}, {WINDOWS[1]!r}, {SHAPE!r})
assert registry.conditioners
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_conditionings_are_added() -> None:
    conditioners = [fitted(name) for name in ("artist", "genre", "timing")]
    conditionings = [
        conditioner.module(SHAPE)(
            **{
                k: torch.from_numpy(a)[None]
                for k, a in conditioner.encode(SONGS[0], WINDOWS[0], SHAPE).items()
            }
        )
        for conditioner in conditioners
    ]
    total = sum_conditionings(conditionings)
    assert total.start is not None
    assert conditionings[0].start is not None
    torch.testing.assert_close(total.start, conditionings[0].start + conditionings[1].start)
    assert total.per_token is conditionings[2].per_token
