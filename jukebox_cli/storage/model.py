"""Models on disk: their settings, weights and fitted conditioners; finding them by name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from jukebox_cli.config.schema import FORMAT, ModelConfig, Options
from jukebox_cli.config.suggest import did_you_mean, unknown_name
from jukebox_cli.interfaces.errors import InputError, require_utf8_name
from jukebox_cli.storage.documents import (
    config_text,
    corruption_errors,
    json_text,
    load_own_config,
    read_jsonl,
    read_own_json,
)
from jukebox_cli.storage.files import FileCache, write_text
from jukebox_cli.storage.jsonl import append_jsonl
from jukebox_cli.storage.locks import WorkLock, exclusive_lock
from jukebox_cli.storage.safetensors_files import read_header
from jukebox_cli.storage.weight_checks import verify_weights

#: The built-in model that is used if no other is named.
DEFAULT_MODEL = "mini"


@dataclass(frozen=True)
class Model:
    """models/NAME: config.yaml, card.md, log.jsonl, vqvae-N.safetensors, train/, and for each prior
    prior-N.safetensors and prior-N.json, the fitted conditioners.

    Each prior has its own file of fitted conditioners, so that levels can be trained in parallel.
    """

    path: Path
    _prior_fingerprints: FileCache[str] = field(
        default_factory=FileCache, compare=False, repr=False
    )

    @cached_property
    def config(self) -> ModelConfig:
        return load_own_config(ModelConfig, self.path / "config.yaml", ["vqvae"])

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def exists(self) -> bool:
        return (self.path / "config.yaml").is_file()

    @property
    def card(self) -> Path:
        return self.path / "card.md"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    def weights(self, part: str) -> Path:
        """The file of the weights of `vqvae-N` or `prior-N`."""
        return self.path / f"{part}.safetensors"

    def checkpoint(self, part: str) -> Path:
        """The file of a training's state: optimizer, step, fp32 weights."""
        return self.path / "train" / f"{part}.safetensors"

    def append_log(self, row: Mapping[str, Any]) -> None:
        """Appends a line to the log of the model's training."""
        with self._log_lock():
            append_jsonl(self.log, row)

    def drop_log_rows(self, part: str, step: int) -> None:
        """Removes the lines about steps of a part after `step`, which a training that was stopped
        is going to do again."""
        with self._log_lock():
            rows = self.log_rows()
            kept = [r for r in rows if r.get("component") != part or r.get("step", 0) <= step]
            if kept != rows:
                lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in kept]
                write_text(self.log, "".join(lines))

    def log_rows(self) -> list[dict[str, Any]]:
        """The lines of the log. Raises InputError for one that is damaged."""
        return read_jsonl(self.log) if self.log.exists() else []

    def _log_lock(self) -> AbstractContextManager[None]:
        return exclusive_lock(self.path / "train")

    def training_lock(self, part: str) -> WorkLock:
        """The lock of the process that trains a part."""
        return WorkLock(self.path / "train" / f".{part}.lock")

    def create_config(self, config: ModelConfig) -> None:
        """Writes config.yaml, unless there is one."""
        with exclusive_lock(self.path / "train"):
            if not self.exists:
                self.write_config(config)

    def write_config(self, config: ModelConfig) -> None:
        write_text(self.path / "config.yaml", config_text(config))
        self.__dict__.pop("config", None)

    def change_config(self, change: Callable[[ModelConfig], ModelConfig]) -> None:
        """Writes config.yaml with a change to what other processes wrote into it before."""
        with exclusive_lock(self.path / "train"):
            before = Model(self.path).config
            if (after := change(before)) != before:
                self.write_config(after)

    def fitted_conditioners(self, level: int) -> dict[str, Options]:
        """The fields of a level's conditioners, by name, as `fit` left them; empty before training.

        Raises InputError if the file is damaged or of another format.
        """
        return self._fitted(level, "conditioners")

    def conditioner_packages(self, level: int) -> dict[str, str]:
        """Package and version, such as `jukebox-energy 0.1`, that each of a level's conditioners
        came from when it was fitted, as far as it is known."""
        return self._fitted(level, "packages")

    def _fitted(self, level: int, key: str) -> dict[str, Any]:
        """What a level's file has for each of its conditioners; empty if there is no file."""
        path = self.path / f"prior-{level}.json"
        if not path.exists():
            return {}
        data = read_own_json(path)
        with corruption_errors(path):
            kind = dict if key == "conditioners" else str
            if wrong := [name for name, value in data[key].items() if not isinstance(value, kind)]:
                raise ValueError(f"{key}.{wrong[0]} has another type")
            return dict(data[key])

    def write_fitted_conditioners(
        self, level: int, fields: Mapping[str, Options], packages: Mapping[str, str] | None = None
    ) -> None:
        """Save the fields of a level's conditioners, and the packages they come from, by name."""
        data = {"format": FORMAT, "conditioners": fields, "packages": packages or {}}
        ordered = json.loads(json.dumps(data, sort_keys=True))
        text = json_text(ordered, indent=1)
        write_text(self.path / f"prior-{level}.json", text)

    def has_prior(self, level: int) -> bool:
        return self.weights(f"prior-{level}").is_file()

    def require_weights(self, part: str) -> None:
        """Raises InputError if the weights of `vqvae-N` or `prior-N` are missing, damaged or not
        finite: they are read through, if that was not done before."""
        path, (kind, level) = self.weights(part), part.split("-")
        if not path.is_file():
            raise InputError(
                f"model '{self.name}' has no {kind} for level {level}",
                f"train one with `jukebox train {kind} --level {level}`",
            )
        verify_weights(path)

    def fingerprint(self) -> str:
        """A hash of what tokens depend on, encoders and codebooks: models with the same one can
        read each other's tokens. Decoders may be others.

        Of each tensor it hashes both ends, which takes milliseconds for any size.
        """
        shape = asdict(self.config.vqvae.without_decoders())
        digest = hashlib.sha256(repr(shape).encode())
        for level in range(self.config.vqvae.num_levels):
            path = self.weights(f"vqvae-{level}")
            if path.is_file():
                digest.update(_encoder_and_codebook(path))
        return digest.hexdigest()[:16]

    def prior_fingerprint(self, level: int) -> str | None:
        """A hash of the size and both ends of a prior's weights, which every step of training
        changes; None if there are no weights."""
        try:
            return self._prior_fingerprints.get(self.weights(f"prior-{level}"), _file_hash)
        except FileNotFoundError:
            return None


def _encoder_and_codebook(path: Path, size: int = 1 << 14) -> bytes:
    """Names, types, shapes and both ends of an autoencoder's tensors, without its decoder. If the
    file is damaged, its own ends: whoever reads it reports that."""
    parts = []
    try:
        tensors = read_header(path).tensors
    except ValueError:
        return _head_tail_and_size(path)
    with path.open("rb") as file:
        for name, entry in sorted(tensors.items()):
            if not name.startswith("decoder."):
                parts.append(repr((name, entry.dtype, entry.shape)).encode())
                for start in (entry.start, max(entry.start, entry.end - size)):
                    file.seek(start)
                    parts.append(file.read(min(size, entry.end - start)))
    return b"".join(parts)


def _file_hash(path: Path) -> str:
    return hashlib.sha256(_head_tail_and_size(path)).hexdigest()[:16]


def _head_tail_and_size(path: Path, size: int = 1 << 20) -> bytes:
    with path.open("rb") as file:
        first = file.read(size)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - size))
        return first + file.read(size) + str(end).encode()


def builtin_models() -> Path:
    """The folder of the models that come with the package."""
    return Path(str(resources.files("jukebox_cli").joinpath("models")))


def builtin_model_names() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in builtin_models().glob("*/config.yaml"))


def find_model(name: str) -> Model:
    """A model by path, by name under ./models, or a built-in one by name.

    Raises InputError if there is none, or if its name is not UTF-8.
    """
    require_utf8_name(Path(name))
    for path in (Path(name), Path("models") / name, builtin_models() / name):
        if (path / "config.yaml").is_file():
            return Model(path)
    if Path(name).is_dir():
        raise InputError(
            f"{name} is not a model: it has no config.yaml", "see `jukebox model list`"
        )
    problem = unknown_name("model", name, known := model_names())
    if did_you_mean(name, known):
        raise problem
    raise InputError(problem.message, f"{problem.hint}; `jukebox model import` brings in others")


def model_names() -> list[str]:
    """Names of the models under ./models and of the built-in ones."""
    local = Path("models")
    here = [p.parent.name for p in local.glob("*/config.yaml")] if local.is_dir() else []
    return sorted({*here, *builtin_model_names()})


def require_trainable(model: Model) -> None:
    """Raises InputError for a folder that training must not write: that of a built-in model, and a
    new one that would hide another model, as commands take names for folders first."""
    path = model.path
    if builtin_models() in path.parents:
        hint = f"copy {path} and train the copy: --model models/my-{path.name}"
        raise InputError(f"'{path.name}' is a built-in model, which can't be trained", hint)
    if model.exists:
        return
    hint = f"choose another folder: --model models/my-{path.name}"
    if path.parent in (Path(), Path("models")) and path.name in builtin_model_names():
        raise InputError(f"{path} would hide the built-in model '{path.name}'", hint)
    if path.parent == Path() and path.name in model_names():
        hint = f"to train that one: --model models/{path.name}"
        raise InputError(f"{path} would hide the model models/{path.name}", hint)
