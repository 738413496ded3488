"""Conditioners: they condition a prior on what a person asks for, such as an artist or lyrics.

Conditioners are frozen dataclasses, so that their fields are declared once and serve as keys of a
training preset and as entries of the file beside a prior's weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.interfaces.command_options import (
    CommandOptions,
    default_description,
    default_options,
)
from jukebox_cli.interfaces.timed_text import TimedText

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from typing_extensions import Self

#: What `Conditioner.read` returns: JSON values by name, the names being unique across conditioners.
Values = dict[str, Any]

#: The values of all conditioners, merged: what a person asked for.
Song = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """The part of a song that one forward pass sees, in audio samples at the model's rate."""

    start: int  # of the window, from the beginning of the song
    length: int  # context_length * hop_length
    total: int  # length of the whole song


@dataclass(frozen=True)
class PriorShape:
    """The sizes of the prior that a conditioner is attached to."""

    width: int  # channels of the transformer, W
    context_length: int  # tokens of a window, T
    hop_length: int  # audio samples per token
    sample_rate: int  # Hz


@dataclass(frozen=True)
class Conditioner(ABC):
    """Conditions a prior on values that a person gives.

    The fields are settings with defaults, followed by those that `fit` learns. A conditioner is
    attached to a level of a model by its name: under `conditioners:` of that prior in the training
    preset, where its settings can be given (`conditioners: {energy: {bins: 16}}`), or later, to a
    prior that is trained, with `jukebox train prior --from MODEL --add NAME`. The fitted fields are
    saved beside the weights, in `prior-N.json`, and passed to the constructor when the model is
    loaded. A ValueError raised in `__post_init__` is shown as an error in the preset.

    The methods are called in this order: `read` for options and manifest rows; `fit` once, before
    training; then for every window `augment` (training only) and `encode`; `module` once per
    process that loads the prior. An exception other than InputError is reported as an error of the
    plugin.
    """

    name: ClassVar[str]

    @dataclass(frozen=True)
    class Input:
        """What a person can give. Each field is an option of `generate` and `continue`
        and a column of manifests; write it `Annotated[str | None, "help text"] = None`."""

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        """The values that are stored for a song: JSON, complete in itself.

        Called for every command and manifest row that gives at least one `Input` field, before any
        weights are loaded and on a conditioner that is not fitted. Store the contents of files, not
        their paths. The default stores `inputs` as they are.

        :param inputs: the `Input` fields that were given, by name. Manifests can have other JSON
            types than the options.
        :param folder: the folder that relative paths start from.
        :raises InputError: for what cannot be read.
        """
        return dict(inputs)

    def fit(self, songs: Sequence[Song]) -> Self:
        """A copy whose learned fields, such as a vocabulary, are set from the songs of a corpus.

        Called once per level, before its training begins. The default learns nothing.
        """
        return replace(self)

    def augment(self, song: Song, rng: np.random.Generator) -> Song:
        """The song that `encode` sees at one training step, for example with a value dropped.

        Called in training only, for nine windows in ten; in the others the conditioner gets an
        empty song. Draw random numbers from `rng` only: the batch of a step must not depend on
        anything else. The default returns the song unchanged.
        """
        return song

    @abstractmethod
    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """Arrays for one window, by the names of the parameters of the module's `forward`.

        Keys, shapes and dtypes must be the same for every song and window, also for an empty song:
        arrays are stacked into batches. Must be pure and picklable and must not import torch: it
        runs in data workers, and before weights are loaded, to check every window of a request.

        :raises InputError: for values that this model does not know.
        """

    @abstractmethod
    def module(self, shape: PriorShape) -> nn.Module:
        """The network that turns the arrays into a `Conditioning`.

        `forward(**arrays)` gets the arrays of `encode` with a batch axis in front, as tensors on
        the prior's device, and returns a `jukebox_cli.api.nn.Conditioning`. Its parameters are
        trained and saved with the prior, in fp32. Import torch inside this method.
        """

    def vocabulary(self) -> dict[str, Sequence[str]]:
        """Label -> words or characters that this conditioner knows, for `jukebox model show`.

        If an `Input` field takes words of a fixed set, as `--genre` does, use its name as the
        label, also while the set is empty because the conditioner is not fitted. Then shells
        complete the option with these words, and a run that is generated without `--out` is named
        after its value. The default is empty.
        """
        return {}

    def describe(self, song: Song) -> dict[str, str]:
        """Label -> text of this conditioner's values in a song, for pages and terminals.

        The default has a line for each `Input` field that the song has: short values in full, long
        ones by their length. Return an empty dict for a song without values of this conditioner.
        """
        return default_description(self, song)

    def to_options(self, song: Song) -> CommandOptions:
        """The command-line options that ask for this conditioner's values again.

        The inverse of `read`: options, the files they name, and notes about what cannot be given
        back. `first_equivalent` picks one of several candidates that `read` turns into the same
        values. The default is `--field value` for each `Input` field, with texts of several lines
        in files.
        """
        return default_options(self, song)

    def timed_text(self, song: Song, run: Path, item: int) -> TimedText | None:
        """Text to show beside an item's players, with the times of its words, or None.

        Called by `jukebox report` on a conditioner that is not fitted, before there is work done.
        The default is None.

        :param song: the values of all conditioners for this item.
        :param run: the run's folder, in which commands of this plugin may have left files.
        :param item: the number of the item.
        :raises InputError: for such a file that is damaged.
        """
        return None
