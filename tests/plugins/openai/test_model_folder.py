"""The folder of an imported model."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jukebox_cli.registry import Registry
from support import originals
from support.imported import import_checkpoints
from support.originals import COMPLETE, ONLY, TOP, change_tensors, weights
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


def test_weights_keep_their_precision_and_values(checkpoints: Path, registry: Registry) -> None:
    model = import_checkpoints(checkpoints, registry)
    for path in model.path.glob("*.safetensors"):
        assert {tensor.dtype for tensor in load(path)} == {torch.float16}
    there = load_file(model.weights("prior-2"))
    given = originals.state(TOP, 2)
    name = "transformer._attn_mods.9.attn.c_enc_kv.w"
    project = there["transformer.layers.9.attention.key_value.weight"]
    assert torch.equal(project, given[f"prior.{name}"])
    assert torch.equal(there["token_embedding.weight"], given["prior.x_emb.weight"])
    assert torch.equal(there["output.weight"], given["prior.x_out.weight"].T)


def test_the_optimizer_is_left_out(checkpoints: Path, registry: Registry) -> None:
    model = import_checkpoints(checkpoints, registry)
    there = sorted(path.name for path in model.path.iterdir())
    parts = [f"{kind}-{n}.safetensors" for kind in ("prior", "vqvae") for n in range(3)]
    lists = [f"prior-{n}.json" for n in range(3)]
    assert there == sorted(["card.md", "config.yaml", *lists, *parts])


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_in_memory_one_at_a_time(
    zipped: bool, here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """benchmarks/published_sizes.py shows it with files of a published size."""
    alive: dict[int, int] = {}
    most: list[int] = []

    class Watched(np.memmap):
        def __new__(cls, *words: Any) -> Any:
            mapped = super().__new__(cls, *words)
            alive[id(mapped)] = mapped.size
            most.append(sum(alive.values()))
            weakref.finalize(mapped, alive.pop, id(mapped))
            return mapped

    folder = originals.write(here / "checkpoints", zipped=zipped)
    monkeypatch.setattr("jukebox_cli.storage.tensors.np.memmap", Watched)
    model = import_checkpoints(folder, registry)
    sizes = [2 * t.numel() for file in model.path.glob("*.safetensors") for t in load(file)]
    assert len(most) > len(sizes)
    assert max(most) <= 2 * max(sizes) < sum(sizes) / 10


def load(path: Path) -> list[torch.Tensor]:
    return list(load_file(path).values())


def test_names_of_data_parallel_training_are_shortened(
    checkpoints: Path, registry: Registry
) -> None:
    plain = import_checkpoints(checkpoints, registry, "a")
    path = checkpoints / "prior_level_1.pth.tar"
    data = torch.load(path, weights_only=True)
    data["model"] = {f"module.{name}": tensor for name, tensor in data["model"].items()}
    torch.save(data, path)
    assert weights(import_checkpoints(checkpoints, registry, "b")) == weights(plain)


@pytest.mark.parametrize(
    ("change", "error", "hint"),
    [
        ({"attn_order": 3}, "attention order 3 is not known here", None),
        ({"copy_input": True}, "a prior with copy_input is not known here", ONLY),
        (
            {"heads": 3},
            "its settings describe no network: attention_ratio * width must be",
            COMPLETE,
        ),
        ({"blocks": "8"}, "its settings describe no network: ", COMPLETE),
    ],
)
def test_settings_that_describe_no_network_are_errors(
    change: dict[str, Any], error: str, hint: str | None, here: Path, jukebox: Jukebox
) -> None:
    checkpoints = originals.write(here / "checkpoints")
    path = checkpoints / "prior_level_2.pth.tar"
    originals.save(path, originals.state(TOP, 2), {**TOP, **change})
    result = jukebox("model", "import", "checkpoints", "--name", "mine", "-q")
    assert result.code == 2
    assert result.err.startswith(f"error: prior-2: {error}")
    assert hint is None or result.err.endswith(f"\nhint: {hint}\n")
    assert not Path("models").exists()


def test_tensors_that_do_not_fit_are_errors(checkpoints: Path, refused: Refused) -> None:
    path, name = checkpoints / "prior_level_0.pth.tar", "prior.transformer._attn_mods.1.mlp.c_fc.b"
    name_here = "transformer.layers.1.mlp_in.bias"
    change_tensors(path, lambda model: model.pop(name))
    refused(error=f"prior-0 lacks {name_here}", hint=COMPLETE)
    change_tensors(path, lambda model: model.update({name: torch.zeros(3)}))
    refused(error=f"prior-0: {name_here} is (3,), and should be (16,)", hint=COMPLETE)
    change_tensors(path, lambda model: model.update({name: torch.zeros(16)}))
    change_tensors(path, lambda model: model.update({"prior.more": torch.zeros(3)}))
    refused(error="prior-0: a prior with prior.more is not known here", hint=ONLY)
    change_tensors(path, lambda model: model.pop("prior.more"))
    extra = "prior.transformer._attn_mods.1.attn.c_enc_kv.b"
    change_tensors(path, lambda model: model.update({extra: torch.zeros(3)}))
    name_here = "transformer.layers.1.attention.key_value.bias"
    error = f"prior-0 has {name_here}, which its settings have no place for"
    refused(error=error, hint=COMPLETE)


def test_the_checkpoint_of_another_part_is_an_error(checkpoints: Path, refused: Refused) -> None:
    shutil.copy(checkpoints / "vqvae.pth.tar", checkpoints / "prior_level_0.pth.tar")
    error = "prior-0: the checkpoint of a prior has no prior.x_emb.weight"
    refused(error=error, hint="is it one of Jukebox's?")
