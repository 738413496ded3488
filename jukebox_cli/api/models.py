"""Models for plugins: finding, reading and writing them, and their networks.

Imports torch only in functions that build networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.api.runs import OpenRun, RunItem
from jukebox_cli.config.schema import (
    ModelConfig,
    Options,
    PriorConfig,
    SamplingConfig,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.interfaces.conditioner import Conditioner, Window
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.storage.model import Model, builtin_model_names, find_model

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from jukebox_cli.model.codec import Codec
    from jukebox_cli.model.conditioning import Conditioning
    from jukebox_cli.model.prior import Prior
    from jukebox_cli.registry import Registry

__all__ = [
    "ConditionedWindow",
    "Model",
    "ModelConfig",
    "Options",
    "PriorConfig",
    "SamplingConfig",
    "UpsamplerConditionerConfig",
    "VQVAEConfig",
    "builtin_model_names",
    "find_model",
    "iterate_windows",
    "load_codec",
    "load_conditioners",
    "load_prior",
    "pick_device",
    "prior_shape",
    "tensor_shapes",
    "write_model",
]


@dataclass(frozen=True)
class ConditionedWindow:
    """A window of an item, as its prior sees it.

    tokens: int64 (1, T), on the prior's device.
    num_prompt: how many at the beginning overlap with the window before.
    window: its place in the song.
    conditioning: what conditions the prior there, with a batch axis of 1.
    """

    tokens: Tensor
    num_prompt: int
    window: Window
    conditioning: Conditioning


def pick_device(name: str) -> torch.device:
    """The torch device called `auto`, `cpu`, `cuda` or `mps`; `auto` is the fastest there is.

    :raises InputError: if this machine has no such device.
    """
    from jukebox_cli.model.devices import pick_device

    return pick_device(name)


def load_codec(model: Model, device: torch.device) -> Codec:
    """The autoencoders of all levels in fp32, for `jukebox_cli.api.audio.decode_tokens`.

    :raises InputError: if their weights are missing, damaged or of another model.
    """
    from jukebox_cli.engine.loader import load_codec

    return load_codec(model, device)


def load_prior(model: Model, level: int, registry: Registry, device: torch.device) -> Prior:
    """The prior of a level with its conditioners' networks, in evaluation mode.

    :raises InputError: if its weights are missing, damaged or of another model, or if a plugin that
        it needs is not installed.
    """
    from jukebox_cli.model.loader import load_prior

    return load_prior(model, level, registry, device)


def iterate_windows(
    run: OpenRun, model: Model, level: int, item: RunItem, prior: Prior
) -> Iterator[ConditionedWindow]:
    """The windows of an item at a level, in order, with the tokens that the run has.

    The same windows and conditions as when the item is sampled. Its tokens at this level and the
    one above must be complete.

    :raises InputError: if a file of tokens is damaged.
    """
    import torch

    from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner, audio_window
    from jukebox_cli.sampling.job import Job

    spec = {item.number: run._run.item(item.number)}
    job = Job(run._run, model, run.registry, (item.number,), run.config, spec)
    known = run.read_tokens(level, item)
    assert known is not None, "the item has no tokens at this level"
    conditioned = ConditionedItem(item.number, item.song, item.num_samples)
    conditioner = SongConditioner(job, level, prior, [conditioned])
    for window in job.token_windows(level, item.number):
        tokens = torch.from_numpy(known.tokens[window.start : window.end])[None]
        yield ConditionedWindow(
            tokens.to(prior.position_embedding.device),
            window.sample_from - window.start,
            audio_window(conditioner.shape, window, item.num_samples),
            conditioner.conditioning(window),
        )


def tensor_shapes(
    config: ModelConfig, part: str, conditioners: Mapping[str, Conditioner] | None = None
) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors of `vqvae-N` or `prior-N`, without their memory.

    :param conditioners: those of a prior, by name, as fitted.
    """
    import torch

    from jukebox_cli.model.loader import build_prior
    from jukebox_cli.model.vqvae import Autoencoder

    kind, _, level = part.partition("-")
    with torch.device("meta"):
        network: nn.Module = (
            Autoencoder(int(level), config.vqvae)
            if kind == "vqvae"
            else build_prior(config, int(level), conditioners or {}, on_meta=True)
        )
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def write_model(
    folder: Path,
    config: ModelConfig,
    weights: Mapping[str, Mapping[str, Callable[[], Tensor]]],
    conditioners: Mapping[int, Mapping[str, Options]],
    card: str,
    registry: Registry,
    on_part: Callable[[str], None] = lambda part: None,
) -> Model:
    """Write the folder of a model, as a whole or not at all.

    :param weights: by part (`vqvae-N`, `prior-N`) and name, a function that returns the tensor, in
        float16, bfloat16 or float32. One tensor is held at a time.
    :param conditioners: the fitted fields of each level's conditioners, by level and name.
    :param card: the text of card.md, in Markdown.
    :param registry: knows the package of each conditioner, which the model keeps.
    :param on_part: called with the name of each part before it is written.
    :raises InputError: if the folder is there already, or can't be written to.
    """
    from jukebox_cli.storage.files import new_folder, write_text
    from jukebox_cli.storage.tensors import stream_tensors

    with new_folder(folder) as new:
        model = Model(new)
        for part, tensors in weights.items():
            on_part(part)
            stream_tensors(model.weights(part), tensors)
        for level, fields in conditioners.items():
            model.write_fitted_conditioners(level, fields, registry.packages_of(fields))
        write_text(model.card, card)
        model.write_config(config)
    return Model(folder)
