"""How a run is made again: commands, the files they read, and what else is needed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from jukebox_cli.api import InputError
from jukebox_cli.config.schema import FORMAT, Options, SamplingConfig, SongPreset
from jukebox_cli.config.yaml_files import dump_yaml
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.request import Request, resolve_sampling
from jukebox_cli.storage.model import Model, builtin_model_names

from .conditions import File, Words, flag, saying
from .facts import Facts

LINE = 76  # letters of a command before it goes on in the next line
SEED = (
    "The seed of the beginning, if it was made longer with another: "
    "this run's log does not tell it."
)
MANY = (
    "Which conditions each part was told, if they changed: "
    "a run that was made longer several times knows only the last."
)
LENGTH = (
    "How long the recordings were: they were made longer, "
    "and a run knows only how long everything is now."
)


@dataclass(frozen=True)
class Recipe:
    """What to type, one command after the other; the files that takes; what is not among them."""

    commands: tuple[str, ...]
    files: tuple[File, ...]
    notes: tuple[str, ...]


def recipe(facts: Facts, registry: Registry, model: Model | None) -> Recipe:
    """The recipe of the items that `facts` tells of. What `model` does by itself is left out; where
    it is not there to ask, a preset says all of it."""
    steps = [_first(facts, registry, model), *_longer(facts, registry)]
    whole = sum(steps, _about_model(facts))
    commands = tuple(command(step.flags) for step in steps if step.flags)
    return Recipe(commands, tuple(dict.fromkeys(whole.files)), tuple(dict.fromkeys(whole.notes)))


def command(flags: Sequence[Sequence[str]]) -> str:
    """A command line for a POSIX shell, broken between flags where it gets long."""
    lines = ["jukebox"]
    for each in flags:
        words = shlex.join(each)
        if len(lines[-1]) + len(words) > LINE:
            lines.append(" ")
        lines[-1] += f" {words}"
    return " \\\n".join(lines)


def seconds_text(samples: int, rate: int) -> str:
    """The shortest number of seconds that is so many samples."""
    texts = (f"{samples / rate:.{digits}g}" for digits in range(1, 18))
    plain = (format(float(text), "f").rstrip("0").rstrip(".") for text in texts)
    return next(text for text in plain if round(float(text) * rate) == samples)


def items_text(numbers: Sequence[int]) -> str:
    """Items as --only takes them: `2,4-7`."""
    ordered = sorted(numbers)
    ends = [ordered[0], *(b for a, b in pairwise(ordered) if b != a + 1)]
    lasts = [*(a for a, b in pairwise(ordered) if b != a + 1), ordered[-1]]
    ranges = zip(ends, lasts, strict=True)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _first(facts: Facts, registry: Registry, model: Model | None) -> Words:
    """The command that begins a run, whatever it began with."""
    if facts.asked.num_samples == 0:
        return _tokenize(facts)
    begin, samples = Words((("generate",),)), facts.asked.num_samples
    if facts.audio_hash:
        begin, primed = _recording(facts)
        samples -= primed
    core = Words(tuple(_core(facts, samples)))
    asked = saying(registry, facts.asked.song)
    return begin + core + asked + _sampling(facts, registry, model) + _where(facts)


def _core(facts: Facts, samples: int) -> Iterator[tuple[str, ...]]:
    yield "--model", facts.model
    yield "--seconds", seconds_text(samples, facts.config.sample_rate)
    numbers = [item.number for item in facts.items]
    if numbers != [0]:
        yield "--items", str(max(numbers) + 1)
    if numbers != list(range(len(numbers))):
        yield "--only", items_text(numbers)
    yield "--seed", str(_seeds(facts)[0])


def _where(facts: Facts) -> Words:
    levels = {part.level for item in facts.items for part in item.parts if part.have}
    until = (("--until", "top"),) if levels == {facts.levels - 1} and facts.levels > 1 else ()
    return Words((*until, ("--out", _folder(facts))))


def _folder(facts: Facts) -> str:
    """The run's name, where it can't be taken for a flag."""
    return f"./{facts.name}" if facts.name.startswith("-") else facts.name


def _about_model(facts: Facts) -> Words:
    if facts.config.model in builtin_model_names():
        return Words()
    model = f"The model “{facts.model}”, of fingerprint {facts.config.fingerprint}"
    return Words(notes=(f"{model}: in models/{facts.model}, or name its folder with --model.",))


def _tokenize(facts: Facts) -> Words:
    files = [f"recording-{item.number}.wav" for item in facts.items]
    flags = (("tokenize", *files), ("--model", facts.model), ("--as", "run"))
    note = "The recordings that were turned into tokens, whatever their names."
    if any(item.song for item in facts.items):
        note += " A manifest says what is known of each."
    return Words((*flags, ("--out", _folder(facts))), notes=(note,))


def _recording(facts: Facts) -> tuple[Words, int]:
    """What says from which recording a run goes on, and how many of its samples that has."""
    name, heard = facts.primed
    top = max((part.hop for item in facts.items for part in item.parts), default=1)
    counts = {s: int(s * facts.config.sample_rate) // top * top for s in (heard, heard + 0.0005)}
    primed = counts[heard + 0.0005] if facts.longer else _given(facts)
    seconds = next((s for s, count in counts.items() if count == primed), None)
    prime = (("--prime", f"{seconds:.4f}".rstrip("0").rstrip(".")),) if seconds else ()
    begin = (("continue",), ("--audio", name), *prime)
    note = f"The recording “{name}”; that it is the same is checked by its hash."
    return Words(begin, notes=(note,)), primed


def _given(facts: Facts) -> int:
    """Samples of the recording that every item begins with."""
    tops = [item.parts[-1] for item in facts.items if item.parts]
    return min((part.given * part.hop for part in tops), default=0)


def _sampling(facts: Facts, registry: Registry, model: Model | None) -> Words:
    """What says how tokens are drawn, if that is not the model's own way."""
    hop, sampling = facts.config.hop_fraction, facts.config.sampling
    for knobs in ({}, _alike(sampling)):
        if model and _draws_so(model, registry, knobs, facts):
            return Words(tuple(flag(name, value) for name, value in knobs.items()))
    preset = File("sampling.yaml", _preset(SamplingConfig(hop, sampling)).encode())
    return Words((("--preset", preset.name),), (preset,))


def _alike(sampling: Sequence[Options]) -> Options:
    """The knobs that all levels have, as flags set them."""
    first, *others = sampling or ({},)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _draws_so(model: Model, registry: Registry, knobs: Options, facts: Facts) -> bool:
    """Whether `generate` with these flags draws as the run was drawn."""
    want = Request(facts.model, 1.0, (0,), 0, {}, sampler_options=knobs)
    how = facts.config.hop_fraction, facts.config.sampling
    try:
        return resolve_sampling(model.config, registry, want) == how
    except InputError:  # of a plugin that isn't here, or another model
        return False


def _preset(sampling: SamplingConfig) -> str:
    rows = dump_yaml(SongPreset(sampling=sampling)).split("\n")
    return "\n".join([f"format: {FORMAT}", *rows[rows.index("sampling:") :]])


def _longer(facts: Facts, registry: Registry) -> Iterator[Words]:
    """A command for each time that items were made longer."""
    if facts.asked.num_samples == 0 and facts.longer:
        yield Words(notes=(LENGTH,))
        return
    ends, seeds = {item.number: facts.asked.num_samples for item in facts.items}, _seeds(facts)
    for number, time in enumerate(facts.longer):
        before, ends = ends, {**ends, **_ends(facts, number)}
        item = next(iter(time.seconds))
        text = seconds_text(ends[item] - before[item], facts.config.sample_rate)
        flags = [("continue", _folder(facts)), ("--seconds", text)]
        if len(time.seconds) < len(facts.items):
            flags.append(("--only", ",".join(map(str, time.seconds))))
        if time.seed != seeds[number]:
            flags.append(("--seed", str(time.seed)))
        notes = (SEED,) if facts.longer[0].before is None else ()
        yield Words(tuple(flags), notes=notes) + _changed(facts, registry, number)


def _seeds(facts: Facts) -> list[int]:
    """The seed of the beginning, taken for that of the next part where nobody knows it, and then
    that of each time that items were made longer."""
    times = facts.longer
    start = times[0].before if times else facts.config.seed
    return [times[0].seed if start is None else start, *(time.seed for time in times)]


def _ends(facts: Facts, number: int) -> dict[int, int]:
    """Samples that items had when they had been made longer; the log has them in milliseconds."""
    rate = facts.config.sample_rate
    ends = {i: round(s * rate) for i, s in facts.longer[number].seconds.items()}
    later = {i for time in facts.longer[number + 1 :] for i in time.seconds}
    return {**ends, **{i.number: i.samples for i in facts.items if i.number in {*ends} - later}}


def _changed(facts: Facts, registry: Registry, number: int) -> Words:
    """What was asked for anew when items were made longer."""
    item = next(i for i in facts.items if i.number in facts.longer[number].seconds)
    times = [n for n, time in enumerate(facts.longer) if item.number in time.seconds]
    if item.song == facts.asked.song or number != times[-1]:
        return Words()
    was, now = saying(registry, facts.asked.song), saying(registry, item.song)
    files = tuple(file for file in now.files if file not in was.files)
    kept = {file.name for file in files}
    flags = tuple(f for f in now.flags if f not in was.flags or kept & set(f))
    return Words(flags, files, (*now.notes, *((MANY,) if len(times) > 1 else ())))
