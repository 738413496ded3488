"""Models, corpora and runs on disk: the only module that knows file names."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.config.schema import FORMAT, ModelConfig, Options
from jukebox_cli.config.suggest import did_you_mean, unknown_name
from jukebox_cli.config.yaml_files import dump_yaml, load_config
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import (
    corruption_errors,
    read_json,
    write_text,
)

if TYPE_CHECKING:
    pass


#: The built-in model that is used if no other is named.
DEFAULT_MODEL = "mini"


@dataclass(frozen=True)
class Model:
    """models/NAME: config.yaml, card.md, log.jsonl, vqvae-N.safetensors, train/, and for every
    prior its prior-N.safetensors with what its conditioners learned beside it, prior-N.json, so
    that levels can be trained at the same time."""

    path: Path

    @cached_property
    def config(self) -> ModelConfig:
        return load_config(ModelConfig, self.path / "config.yaml")

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
        """Where the weights of `vqvae-N` or `prior-N` are."""
        return self.path / f"{part}.safetensors"

    def checkpoint(self, part: str) -> Path:
        """Where training keeps what it needs to go on: optimizer, step, fp32 weights."""
        return self.path / "train" / f"{part}.safetensors"

    def write_config(self, config: ModelConfig) -> None:
        write_text(self.path / "config.yaml", dump_yaml(config))
        self.__dict__.pop("config", None)

    def fitted_conditioners(self, level: int) -> dict[str, Options]:
        """The fields of a level's conditioners, by name, as `fit` left them."""
        path = self.path / f"prior-{level}.json"
        if not path.exists():
            return {}
        with corruption_errors(path):
            return dict(read_json(path)["conditioners"])

    def conditioner_packages(self, level: int) -> dict[str, str]:
        """Package and version, such as `jukebox-energy 0.1`, that each of a level's conditioners
        came from when it was fitted, as far as it is known."""
        path = self.path / f"prior-{level}.json"
        if not path.exists():
            return {}
        with corruption_errors(path):
            return dict(read_json(path).get("packages", {}))

    def write_fitted_conditioners(
        self, level: int, fields: Mapping[str, Options], packages: Mapping[str, str] | None = None
    ) -> None:
        """Save the fields of a level's conditioners, and the packages they come from, by name."""
        data = {"format": FORMAT, "conditioners": fields, "packages": packages or {}}
        text = json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True)
        write_text(self.path / f"prior-{level}.json", text + "\n")

    def has_prior(self, level: int) -> bool:
        return self.weights(f"prior-{level}").is_file()

    def require_weights(self, part: str) -> None:
        """InputError when the weights of `vqvae-N` or `prior-N` are missing or damaged."""
        from safetensors import SafetensorError, safe_open

        path, (kind, level) = self.weights(part), part.split("-")
        if not path.is_file():
            raise InputError(
                f"model '{self.name}' has no {kind} for level {level}",
                f"train one with `jukebox train {kind} --level {level}`",
            )
        try:
            with safe_open(str(path), "np"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} is damaged: {error}", "restore it from a copy") from None

    def fingerprint(self) -> str:
        """A hash of the codec and the shape of the model: who may read whose tokens.

        Samples the weights of the autoencoders (ends and size), so that it takes milliseconds
        however large they are.
        """
        digest = hashlib.sha256(repr(asdict(self.config.vqvae)).encode())
        for level in range(self.config.vqvae.num_levels):
            path = self.weights(f"vqvae-{level}")
            if path.is_file():
                digest.update(_head_tail_and_size(path))
        return digest.hexdigest()[:16]

    def prior_fingerprint(self, level: int) -> str:
        """A hash of the ends and the size of a prior's weights: they change in every step."""
        return hashlib.sha256(_head_tail_and_size(self.weights(f"prior-{level}"))).hexdigest()[:16]


def _head_tail_and_size(path: Path, size: int = 1 << 20) -> bytes:
    with path.open("rb") as file:
        first = file.read(size)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - size))
        return first + file.read(size) + str(end).encode()


def builtin_model_names() -> list[str]:
    """Names of the models that come with the package."""
    folder = resources.files("jukebox_cli").joinpath("models")
    if not folder.is_dir():
        return []
    return sorted(f.name for f in folder.iterdir() if f.joinpath("config.yaml").is_file())


def find_model(name: str) -> Model:
    """A model by path, by name under ./models, or a built-in one by name."""
    builtin = resources.files("jukebox_cli").joinpath("models")
    for path in (Path(name), Path("models") / name, Path(str(builtin)) / name):
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
    local = Path("models")
    here = [p.parent.name for p in local.glob("*/config.yaml")] if local.is_dir() else []
    return sorted({*here, *builtin_model_names()})
