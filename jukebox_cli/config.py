"""What presets and models say, as frozen dataclasses, and how YAML is read into them.

A mistake in a file is reported with the file, the line and the key.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from importlib import resources
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml

from jukebox_cli.plugin import InputError

T = TypeVar("T")
FORMAT = 1
Knobs = dict[str, Any]

#: What a layer of a prior can attend to; see `transformer`.
PATTERNS = ("row", "column", "previous", "dense", "memory", "prefix")


@dataclass(frozen=True)
class VQVAEConfig:
    """The autoencoders. `strides[l]` are the strides level l adds to the level below it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    sample_rate: int = 44100
    strides: tuple[tuple[int, ...], ...] = ((2, 2, 2), (2, 2), (2, 2))
    bins: int = 2048
    embed: int = 64
    widths: tuple[int, ...] = (64, 32, 32)  # channels of the convolutions, per level
    depths: tuple[int, ...] = (8, 4, 4)  # residual blocks after each stride, per level
    growth: int = 3
    cycle: int | None = None
    state: float = 1.0

    @cached_property
    def hops(self) -> tuple[int, ...]:
        """Audio samples per token, per level."""
        return tuple(accumulate((prod(s) for s in self.strides), lambda a, b: a * b))

    @property
    def levels(self) -> int:
        return len(self.strides)

    def __post_init__(self) -> None:
        if not len(self.strides) == len(self.widths) == len(self.depths):
            raise ValueError("strides, widths and depths must name equally many levels")
        if any(stride < 2 or stride % 2 for level in self.strides for stride in level):
            raise ValueError("strides must be even numbers from 2 on")
        if not 1 <= self.bins <= 65536:
            raise ValueError(f"bins must be from 1 to 65536, not {self.bins}")
        if min(self.sample_rate, self.embed, *self.widths, *self.depths) < 1:
            raise ValueError("sample_rate, embed, widths and depths must be 1 or more")


@dataclass(frozen=True)
class UpperConfig:
    """The network an upsampler reads the codes of the level above with (paper, section 4.2)."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    embed: int | None = None  # channels of its embedding; those of the prior if not given
    width: int = 64
    depth: int = 4
    growth: int = 3
    cycle: int | None = None
    state: float = 1.0
    scale: bool = True  # residual branches are divided by the root of the depth


@dataclass(frozen=True)
class PriorConfig:
    """One transformer. `patterns` is repeated until `depth` layers have one each."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    frames: int = 8192
    width: int = 1920
    depth: int = 72
    heads: int = 1
    blocks: int = 128  # rows that prefix and frames are laid out in
    prefix: int = 0  # positions before the frames, for what a conditioner writes there
    patterns: tuple[str, ...] = ("row", "column", "previous")
    attention: float = 0.25  # width of queries, keys and values over the model's width
    mlp: float = 1.0  # width of the hidden layer over the model's width
    scale: bool = False  # residual branches are divided by the depth
    scale_depth: int | None = None  # or by this, where layers were added later
    norm: bool = True  # a layer norm before the output layer
    tied: bool = True  # the output layer is the token embedding, and sees the frames once more
    conditioners: dict[str, Knobs] = field(default_factory=dict)
    # which of the conditioners came when it was trained already, and with them
    added: tuple[str, ...] = ()
    added_joints: tuple[str, ...] = ()  # matrices that lead what these make into the prior
    added_layers: tuple[int, ...] = ()  # layers that look at what these make
    upper: UpperConfig = UpperConfig()

    def __post_init__(self) -> None:
        strangers = [p for p in self.patterns if p not in PATTERNS]
        if strangers or not self.patterns:
            known, said = ", ".join(PATTERNS), ", ".join(strangers) or "none"
            raise ValueError(f"patterns are {known}, not {said}")
        if min(self.frames, self.width, self.depth, self.heads, self.blocks) < 1:
            raise ValueError("frames, width, depth, heads and blocks must be 1 or more")
        if self.prefix < 0:
            raise ValueError(f"prefix must be 0 or more, not {self.prefix}")
        if (self.prefix + self.frames) % self.blocks:
            what = f"prefix and frames ({self.prefix + self.frames} together)"
            what = what if self.prefix else f"frames ({self.frames})"
            raise ValueError(f"{what} must be a multiple of blocks ({self.blocks})")
        if int(self.attention * self.width) % self.heads:
            raise ValueError(f"attention * width must be a multiple of heads ({self.heads})")
        if strangers := [
            name for name in (*self.added, *self.added_joints) if name not in self.conditioners
        ]:
            raise ValueError(f"added are conditioners, and '{strangers[0]}' is not among them")
        if not set(self.added_layers) <= set(range(self.depth)):
            raise ValueError(f"added_layers are from 0 to {self.depth - 1}")


@dataclass(frozen=True)
class SamplingConfig:
    """How a model is best sampled, level 0 first: hop of the windows as a fraction, and knobs of
    the samplers."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    hop: tuple[float, ...] = ()
    knobs: tuple[Knobs, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """A whole model; level 0 first, the top level last."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    about: str = ""
    vqvae: VQVAEConfig = VQVAEConfig()
    priors: tuple[PriorConfig, ...] = ()
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        check_format(self.format)
        if len(self.priors) > self.vqvae.levels:
            raise ValueError(
                f"there are {len(self.priors)} priors for {self.vqvae.levels} levels of strides"
            )
        ratios = map(prod, self.vqvae.strides[1:])
        for level, (prior, ratio) in enumerate(zip(self.priors, ratios, strict=False)):
            if prior.frames % ratio:
                what = f"its tokens per token of level {level + 1}"
                raise ValueError(f"frames of level {level} must be a multiple of {ratio}, {what}")


@dataclass(frozen=True)
class SongPreset:
    """What `generate --preset` reads: everything a flag can say, so flags override it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    about: str = ""
    model: str | None = None
    seconds: float | None = None
    items: int | None = None
    seed: int | None = None
    song: dict[str, Any] = field(default_factory=dict)
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        check_format(self.format)


def check_format(number: int) -> None:
    if number != FORMAT:
        raise ValueError(f"format {number} is not known here, only format {FORMAT}")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """`did you mean 'x'?` for the closest known word, ignoring case; None when none is close."""
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.5)
    return f"did you mean '{folded[close[0]]}'?" if close else None


def unknown(what: str, word: str, known: Sequence[str], where: str = "") -> InputError:
    """The error for a word that is not among the known ones."""
    hint = did_you_mean(word, known) or f"known are: {some(known) or 'none'}"
    return InputError(f"no {what} '{word}'{where}", hint)


def some(names: Sequence[str], most: int = 40) -> str:
    """Names with commas between; of thousands the first."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def id_of(
    what: str, word: str, names: Sequence[str], also: Mapping[str, str], *, lenient: bool
) -> int:
    """The place of a word among a model's names, from 1 on; `also` has other names for some of
    them. One that is not known is 0, if `lenient`, or else an InputError."""
    known = (*names, *also)
    found = find_name(word, known)
    if found is not None:
        return 1 + names.index(also.get(found, found))
    if lenient:
        return 0
    raise unknown(what, word, known, f" in this model, which knows {len(names)}")


def find_name(word: str, known: Iterable[str]) -> str | None:
    """The known name that a word means, whatever its case; where there is none like it, one that
    differs in its spaces and marks."""
    for alike in (str.casefold, _letters):
        found = {alike(name): name for name in reversed(list(known))}
        if alike(word) in found:
            return found[alike(word)]
    return None


def _letters(word: str) -> str:
    """`AC/DC`, `ac_dc` and `Ac Dc` are one name; so are `Beyoncé` and `beyonce`."""
    plain = unicodedata.normalize("NFKD", word.casefold())
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", kept)) or word


class _Once(yaml.SafeLoader):
    """YAML that says no key of a mapping twice; plain YAML keeps the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"'{key.value}' is said twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; mistakes are InputErrors with their line."""
    try:
        data = yaml.load(read_text(path), _Once)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: bad YAML: {error.problem}", _YAML_HINT) from None
    except (yaml.YAMLError, ValueError) as error:  # control characters; a date such as 2020-99-99
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: bad YAML: {reason}", _YAML_HINT) from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected 'key: value' lines", "see `jukebox preset show rock`")
    return data


_YAML_HINT = "check the indentation and the quotes around that line"


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"no file {path}", "check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file", "save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}", "check the path") from None


def load(kind: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """A config of `kind` from a YAML file, with `key.key=value` overrides applied."""
    data = read_yaml(path)
    _refuse_other_kind(kind, data, path)
    for setting in overrides:
        override(data, setting)
    return build(kind, data, path, overrides)


def _refuse_other_kind(kind: type, data: Mapping[str, Any], path: Path) -> None:
    """InputError for the shape of a model where a song is wanted, and the other way round."""
    if kind is SongPreset and "vqvae" in data:
        hint = "train one with it: `jukebox train vqvae --preset`, or choose another"
        raise InputError(f"{path} is the shape of a model and no song", hint)
    if kind is ModelConfig and "song" in data:
        hint = "make it with `jukebox generate --preset`, or choose another, such as mini-recipe"
        raise InputError(f"{path} is a song and not the shape of a model", hint)


def build(kind: type[T], data: Mapping[str, Any], path: Path, overrides: Sequence[str] = ()) -> T:
    """Checks a mapping against a config's fields; `path` is the file to blame, but for what the
    overrides say."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"]
        where = said_at(path, overrides, *place)
        raise _blame(kind, where, place, first["type"], first["msg"]) from None


def _blame(
    kind: type, where: str, place: tuple[int | str, ...], problem: str, message: str
) -> InputError:
    keys = ".".join(str(p) for p in place)
    if problem in ("unexpected_keyword_argument", "extra_forbidden"):
        names = _names_at(kind, place[:-1])
        return unknown(
            "key", keys, [".".join(map(str, (*place[:-1], n))) for n in names], f" in {where}"
        )
    message = message.removeprefix("Value error, ")
    return InputError(f"{where}: {keys + ': ' if keys else ''}{message}", "correct that value")


def _names_at(kind: type, place: Sequence[int | str]) -> list[str]:
    """The keys a config allows at a place such as ('priors', 0)."""
    parts = {"vqvae": VQVAEConfig, "priors": PriorConfig, "upper": UpperConfig}
    parts["sampling"] = SamplingConfig
    named = [p for p in place if isinstance(p, str)]
    owner = parts[named[-1]] if named and named[-1] in parts else kind
    return [f.name for f in fields(owner)]


def said_at(path: Path, overrides: Sequence[str], *place: int | str) -> str:
    """Who says what is at a place: `--set 'key=value'`, or `my.yaml:3`."""
    for setting in reversed(overrides):
        keys = setting.partition("=")[0].split(".")
        if keys == [str(p) for p in place[: len(keys)]]:
            return f"--set '{setting}'"
    return at(path, *place)


def at(path: Path, *place: int | str) -> str:
    """`my.yaml:3`: where a key stands in a YAML file; the file alone where it has no such key."""
    line = _line_of(path, place)
    return f"{path}:{line}" if line else str(path)


def _line_of(path: Path, place: Sequence[int | str]) -> int | None:
    """The line of a YAML file that a place such as ('priors', 0, 'width') stands on."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    line: int | None = None
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next((kv for kv in node.value if kv[0].value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = (node.value[step], node.value[step]) if step < len(node.value) else None
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def override(data: dict[str, Any], setting: str) -> None:
    """`priors.0.width=64` into nested mappings and lists; the value is YAML."""
    keys, sign, text = setting.partition("=")
    if not sign:
        raise InputError(f"can't read --set '{setting}'", "write it as key=value")
    *parents, last = keys.split(".")
    here: Any = data
    try:
        for key in parents:
            here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
        here[int(last) if isinstance(here, list) else last] = yaml.safe_load(text)
    except (ValueError, IndexError, TypeError, AttributeError):
        raise InputError(f"--set '{setting}' leads nowhere", "see `jukebox preset show`") from None
    except yaml.YAMLError:
        raise InputError(f"--set '{setting}': bad YAML after '='", _YAML_HINT) from None


def dump(config: object) -> str:
    """A config dataclass as YAML that `load` reads back."""
    return yaml.safe_dump(_plain(asdict(config)), sort_keys=False, width=100)  # type: ignore[call-overload]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def preset_names() -> list[str]:
    """The built-in presets, without `.yaml`."""
    files = resources.files("jukebox_presets").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def find_preset(name: str) -> Path:
    """A preset by path, or a built-in one by name with or without `.yaml`."""
    if Path(name).is_file():
        return Path(name)
    known = preset_names()
    bare = name.removesuffix(".yaml")
    if bare in known:
        return Path(str(resources.files("jukebox_presets").joinpath(f"{bare}.yaml")))
    if "/" in name or "\\" in name:
        raise InputError(f"no preset file {name}", "check the path, or see `jukebox preset list`")
    raise unknown("preset", bare, known)
