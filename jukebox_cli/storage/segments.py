"""How the tokens of an item came to be: one segment for each stretch that was asked for at a time.

A run that was continued, continued with another seed, or copied and continued is described by the
segments of its items, so everything needed to make it again is in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.config.bounds import MAX_SAMPLES
from jukebox_cli.config.schema import FORMAT, Options
from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.documents import json_text, parse_own_json, validation_problem
from jukebox_cli.storage.files import FileCache, write_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: Seeds are below this: they are the key of a 64-bit generator.
MAX_SEED = 2**63


@dataclass(frozen=True)
class Parent:
    """The item that a segment continues, where that is in another run."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    run: str  # its folder
    item: int
    upto_sample: int  # samples of the parent that were copied: its length at that time

    def __post_init__(self) -> None:
        if self.item < 0 or not 1 <= self.upto_sample <= MAX_SAMPLES:
            raise ValueError("item must be 0 or more, and upto_sample a length in samples")


@dataclass(frozen=True)
class Prompt:
    """The recording that a segment's tokens were encoded from, in place of being sampled."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    audio_hash: str  # SHA-256 of the recording's file, shortened
    num_samples: int  # samples of the recording that were used, at the run's sample rate
    name: str = field(default="", compare=False)  # of the recording's file


@dataclass(frozen=True)
class ComputeSettings:
    """How a level is computed. Other settings round differently, and now and then another token
    comes out."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    engine: str  # native or torch
    precision: str  # of the prior's weights: fp32, fp16, bf16 or int8


@dataclass(frozen=True)
class SlicePlan:
    """How a level is cut into slices of one length that are sampled at the same time.

    Another plan gives other tokens. Numbers of tokens are multiples of the tokens per token of the
    level above.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    count: int  # of slices
    start: int  # the first token of the first slice; what is known from there on is its prompt
    warmup: int  # tokens that a slice shares with the one before, which keeps them
    seam: int  # tokens after these that are sampled again, with the slice before as their prompt

    def __post_init__(self) -> None:
        if self.count < 2 or self.start < 0 or self.warmup < 1 or self.seam < 1:
            raise ValueError("slices must be 2 or more, and warmup and seam 1 token or more")
        if max(self.count, self.start, self.warmup, self.seam) > MAX_SAMPLES:
            raise ValueError("slices must lie in the item")


@dataclass(frozen=True)
class Segment:
    """A stretch of an item, from `first_sample` to the next segment or the end of the item.

    `sampling`, `hop_fraction`, `prior_fingerprints`, `compute`, `slices` and `shared` have one
    entry per level, level 0 first.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    first_sample: int  # the length of the item before this segment was added
    seed: int
    conditions: dict[str, Any]  # the values of every conditioner
    sampling: tuple[Options, ...]  # options of the samplers
    hop_fraction: tuple[float, ...]  # how far windows move, as a fraction of their length
    #: hashes of the priors' weights; None for a level whose prior is missing
    prior_fingerprints: tuple[str | None, ...]
    #: what each level is sampled with; None before it is begun
    compute: tuple[ComputeSettings | None, ...] = ()
    #: the slices that each level is sampled in; None where it is sampled from beginning to end
    slices: tuple[SlicePlan | None, ...] = ()
    #: whether several commands share the work on each level: then `compute` and `slices` stay as
    #: they are even before the level is begun, so that all sample the same
    shared: tuple[bool, ...] = ()
    parent: Parent | None = None
    prompt: Prompt | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < MAX_SEED:
            raise ValueError(f"seed must be from 0 to 2^63 - 1, not {self.seed}")
        if not len(self.sampling) == len(self.hop_fraction) == len(self.prior_fingerprints):
            fields = "sampling, hop_fraction and prior_fingerprints"
            raise ValueError(f"{fields} must have one entry for each level")
        for name in ("compute", "slices", "shared"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.sampling):
                raise ValueError(f"{name} must have one entry for each level")
        if not all(0 < fraction <= 1 for fraction in self.hop_fraction):
            raise ValueError("hop_fraction must be more than 0 and at most 1")

    def with_prior_fingerprint(self, level: int, fingerprint: str) -> Segment:
        """A copy that names these weights at a level; the segment itself if it does."""
        if self.prior_fingerprints[level] == fingerprint:
            return self
        fingerprints = list(self.prior_fingerprints)
        fingerprints[level] = fingerprint
        return replace(self, prior_fingerprints=tuple(fingerprints))

    def compute_settings(self, level: int) -> ComputeSettings | None:
        """What a level is sampled with; None before it is begun."""
        return self.compute[level] if self.compute else None

    def with_compute_settings(self, level: int, settings: ComputeSettings) -> Segment:
        """A copy in which a level is sampled with these settings; the segment itself if it is."""
        if self.compute_settings(level) == settings:
            return self
        compute = list(self.compute or [None] * len(self.sampling))
        compute[level] = settings
        return replace(self, compute=tuple(compute))

    def slice_plan(self, level: int) -> SlicePlan | None:
        """The slices that a level is sampled in; None if it is from beginning to end."""
        return self.slices[level] if self.slices else None

    def with_slice_plan(self, level: int, plan: SlicePlan | None) -> Segment:
        """A copy in which a level is sampled in these slices; the segment itself if it is."""
        if self.slice_plan(level) == plan:
            return self
        slices = list(self.slices or [None] * len(self.sampling))
        slices[level] = plan
        return replace(self, slices=tuple(slices) if any(slices) else ())

    def is_shared(self, level: int) -> bool:
        """Whether several commands share the work on a level."""
        return bool(self.shared) and self.shared[level]

    def with_shared_level(self, level: int) -> Segment:
        """A copy in which several commands share the work on a level."""
        shared = list(self.shared or [False] * len(self.sampling))
        shared[level] = True
        return replace(self, shared=tuple(shared))


@dataclass(frozen=True)
class ItemSpec:
    """What was asked for of an item: its length in samples, and its segments in order."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    num_samples: int
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        if self.num_samples > MAX_SAMPLES:
            raise ValueError(f"num_samples must be at most {MAX_SAMPLES}, not {self.num_samples}")
        starts = [segment.first_sample for segment in self.segments]
        if not starts or starts[0] != 0:
            raise ValueError("the first segment must begin at sample 0")
        if len({len(segment.sampling) for segment in self.segments}) > 1:
            raise ValueError("segments must have as many levels as each other")
        ends = [*starts[1:], self.num_samples]
        if any(start >= end for start, end in zip(starts, ends, strict=True)):
            raise ValueError("segments must be in order, and none may be empty")
        if any(segment.prompt for segment in self.segments[1:]):
            raise ValueError("only the first segment can be a prompt")
        if self.prompt and self.prompt.num_samples != ends[0]:
            raise ValueError("the prompt must be as long as its segment")

    @cached_property
    def text(self) -> str:
        """The content of the item's file."""
        return item_spec_text(self)

    @property
    def conditions(self) -> dict[str, Any]:
        """Those of the last segment, which hold from there on."""
        return self.segments[-1].conditions

    @property
    def prompt(self) -> Prompt | None:
        """The recording that the item begins with."""
        return self.segments[0].prompt

    def spans(self) -> Iterator[tuple[Segment, int]]:
        """The segments, each with the sample after its last."""
        starts = [segment.first_sample for segment in self.segments]
        yield from zip(self.segments, [*starts[1:], self.num_samples], strict=True)

    def beginning(self, num_segments: int) -> ItemSpec:
        """The item as it was when it had only so many segments."""
        *_, (_, end) = list(self.spans())[:num_segments]
        return ItemSpec(end, self.segments[:num_segments])

    def extended(self, num_samples: int, **changes: Any) -> ItemSpec:
        """This item made `num_samples` long by one more segment: the last one with `changes`."""
        added = replace(
            self.segments[-1],
            **{"parent": None, "prompt": None, "compute": (), "slices": (), **changes},
            shared=(),
            first_sample=self.num_samples,
        )
        return ItemSpec(num_samples, (*self.segments, added))

    def with_segment(self, number: int, segment: Segment) -> ItemSpec:
        """A copy with another segment in the place of one; the item itself if that is the same."""
        if segment is self.segments[number]:
            return self
        segments = list(self.segments)
        segments[number] = segment
        return replace(self, segments=tuple(segments))


def item_spec_text(spec: ItemSpec) -> str:
    """The content of an item's file."""
    return json_text({"format": FORMAT, **asdict(spec)}, indent=1)


def write_item_spec(path: Path, spec: ItemSpec) -> None:
    """Writes an item's file, unless it has that content already."""
    text = spec.text
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def read_item_spec(path: Path) -> ItemSpec:
    """The content of an item's file.

    Raises InputError, naming the file and what is wrong, for a file that is missing, damaged or of
    another format.
    """
    return parse_item_spec(read_text(path), path)


def parse_item_spec(text: str, path: Path) -> ItemSpec:
    """As `read_item_spec`, from the text of the file."""
    from pydantic import ValidationError

    data = parse_own_json(text, path)
    try:
        # JSON mode takes lists for tuples, and strict mode takes no text for a number
        return _item_spec_type().validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        what = f"{path} is damaged: {validation_problem(error)}"
        raise InputError(what, "restore it from a copy, or make the run again") from None


class ItemSpecs(FileCache[ItemSpec]):
    """Items as their files have them. Files of the same content share one object: the items of a
    request are alike, and their conditions may be large."""

    def __init__(self) -> None:
        super().__init__()
        self._by_content: dict[bytes, ItemSpec] = {}

    def read(self, path: Path) -> ItemSpec:
        """An item, from memory if its file has not changed. Raises as `read_item_spec`, and
        FileNotFoundError."""
        return self.get(path, self._parse)

    def _parse(self, path: Path) -> ItemSpec:
        text = read_text(path)
        content = blake2b(text.encode()).digest()
        if content not in self._by_content:
            self._by_content[content] = parse_item_spec(text, path)
        return self._by_content[content]


@cache
def _item_spec_type() -> TypeAdapter[ItemSpec]:
    from pydantic import TypeAdapter

    return TypeAdapter(ItemSpec)
