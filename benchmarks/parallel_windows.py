"""What slices that are sampled at the same time cost in quality, and how much faster they are.

    python benchmarks/parallel_windows.py [MODEL | --preset NAME | --large] [--seconds 24]
        [--level 0] [--parallel 4] [--json] [--write FILE]

Samples a level of the same song from beginning to end and in slices, over the same tokens of the
level above. Of both it reports the seconds, the negative log-likelihood of the tokens under the
prior in the windows of the sequential run, and how far the log-mel spectrum of the decoded audio
moves from frame to frame: in seams, which begin where the slice before ends; after seams; and
elsewhere. The sequential run's are of the same places, where it has no seams.

`--large` takes random weights of the published size, with windows and song of a 32nd of the length
(see large_model.py), and tells the times alone. By default its song is a minute long, so to say.
It needs 6 GB of memory and, with 16 slices on 2 cores, a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from large_model import SCALE, make_large_model
from machine import machine_facts
from measurements import Row, page, single_row, table

from jukebox_cli.audio.mel import mel_filterbank
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.model import codec
from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import load_installed
from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.request import build_request
from jukebox_cli.sampling.run_setup import create_run, start_job
from jukebox_cli.sampling.slice_layout import SliceLayout
from jukebox_cli.sampling.windows import TokenWindow
from jukebox_cli.storage.run import Run

#: Tokens after a seam that are looked at.
NUM_TOKENS = 64
#: Of the spectrogram, in samples; and its bands.
N_FFT, HOP_LENGTH, N_MELS = 512, 128, 64
#: Added to the power of a band.
POWER_FLOOR = 1e-7
NOTES = (
    "Bits are those of the tokens under the prior, in the windows of the sequential run. Slices "
    "have other windows: what that alone costs shows in the sequential tokens in windows half a "
    "step later."
)


@dataclass(frozen=True)
class Version:
    """A song as it was sampled one way."""

    name: str
    job: Job
    seconds: float  # that sampling the level took, loading included


def measure(args: argparse.Namespace, folder: Path) -> list[Row]:
    """Samples the song both ways and compares them."""
    registry = load_installed(lambda message: None)
    song = {"seconds": args.seconds, "items": args.items, "only": None, "seed": None}
    options: dict[str, Any] = {**song, "conditions": {}, "sampler_options": {}}
    request = build_request(registry, args.preset, [], model=args.model, **options)
    job = replace(
        start_job(request, registry, folder / "sequential", "song"),
        device=args.device,
        engine=args.engine,
        precision=args.precision,
    )
    create_run(job)
    for level in range(job.top_level, args.level, -1):
        print(f"level {level}", file=sys.stderr)
        sample_level(reopened(job, "sequential"), level)
    shutil.copytree(folder / "sequential", folder / "parallel")
    job = reopened(job, "sequential")
    versions = [
        sample("sequential", job, args.level),
        sample("parallel", replace(reopened(job, "parallel"), parallel=args.parallel), args.level),
    ]
    return compare_times(versions, args.level) if args.large else compare(versions, args.level)


def reopened(job: Job, name: str) -> Job:
    """The job on the run of another name, as it is on disk."""
    run = Run(job.run.path.with_name(name))
    return replace(job, run=run, specs=run.read_items(job.items))


def sample(name: str, job: Job, level: int) -> Version:
    """Samples a level."""
    print(f"level {level}, {name}", file=sys.stderr)
    started = time.perf_counter()
    sample_level(job, level)
    return Version(name, reopened(job, name), time.perf_counter() - started)


def compare_times(versions: Sequence[Version], level: int) -> list[Row]:
    """How long both versions took, and the number of slices."""
    sequential, parallel = versions
    rows = [single_row(f"{each.name}: time", "s", each.seconds) for each in versions]
    rows.append(single_row("speed-up", "x", sequential.seconds / parallel.seconds))
    plan = layout_of(parallel.job, level, parallel.job.items[0]).plan
    return [*rows, single_row("slices", "slices", plan.count)]


def compare(versions: Sequence[Version], level: int) -> list[Row]:
    """Rows of both versions, and of how they differ."""
    sequential, parallel = versions
    rows = compare_times(versions, level)
    layouts = {item: layout_of(parallel.job, level, item) for item in parallel.job.items}
    tokens = [
        {item: tokens_of(each.job, level, item) for item in each.job.items} for each in versions
    ]
    equal = np.concatenate([tokens[0][item] == tokens[1][item] for item in layouts])
    rows.append(single_row("tokens equal in both", "%", 100 * equal.mean(), len(equal)))
    for each in versions:
        bits = {item: bits_per_token(each.job, level, item) for item in layouts}
        rows += bits_rows(each.name, bits, layouts)
    control = [
        bits_per_token(sequential.job, level, item, moved_windows(sequential.job, level, item))
        for item in layouts
    ]
    name = "sequential: bits/token in windows half a step later"
    rows.append(single_row(name, "bits", float(np.concatenate(control).mean())))
    for each in versions:
        jumps = {item: spectral_jumps(each.job, level, item) for item in layouts}
        rows += jump_rows(each, level, jumps, layouts)
    return rows


def layout_of(job: Job, level: int, item: int) -> SliceLayout:
    """The slices that an item was sampled in. SystemExit if there are none."""
    plan = job.specs[item].segments[-1].slice_plan(level)
    if plan is None:
        raise SystemExit("the song is too short for slices: try --seconds, or a lower --level")
    return SliceLayout(plan, job.num_tokens(level, item))


def tokens_of(job: Job, level: int, item: int) -> np.ndarray:
    """An item's tokens, which are complete."""
    tokens = job.run.read_tokens(level, item)
    assert tokens is not None
    return tokens


@torch.inference_mode()
def bits_per_token(
    job: Job, level: int, item: int, windows: Sequence[TokenWindow] | None = None
) -> np.ndarray:
    """-log2 of the probability of an item's tokens (T,), in the windows of a sequential run or in
    others."""
    prior = load_prior(job.model, level, job.registry, pick_device(job.device))
    conditioned = ConditionedItem(item, job.song(item), job.num_samples(item))
    conditioner = SongConditioner(job, level, prior, [conditioned])
    tokens = torch.from_numpy(tokens_of(job, level, item))
    bits = []
    for window in windows or job.token_windows(level, item):
        known = tokens[None, window.start : window.end].to(prior.position_embedding.device)
        logits = prior(known, conditioner.conditioning(window))[0, -known.shape[1] :]
        log_probabilities = torch.log_softmax(logits.float(), dim=-1)
        drawn = log_probabilities.gather(1, known[0][:, None])[:, 0]
        bits.append((-drawn / np.log(2)).cpu().numpy()[window.sample_from - window.start :])
    return np.concatenate(bits)


def moved_windows(job: Job, level: int, item: int) -> list[TokenWindow]:
    """The windows of a sequential run, half a step later: those of slices lie elsewhere too."""
    first, second, *_ = job.token_windows(level, item)
    ratio, total = job.grid.ratio(level), job.num_tokens(level, item)
    shift = max(1, (second.start - first.start) // 2 // ratio) * ratio
    windows = [first]
    for window in job.token_windows(level, item):
        start = min(window.start + shift, total - first.end)
        end = start + first.end
        if end > windows[-1].end:
            windows.append(TokenWindow(start, windows[-1].end, end))
    return windows


def bits_rows(name: str, bits: dict[int, np.ndarray], layouts: dict[int, SliceLayout]) -> list[Row]:
    """Mean bits in seams, after seams, and elsewhere."""
    places: dict[str, list[np.ndarray]] = {"in seams": [], "after seams": [], "elsewhere": []}
    for item, layout in layouts.items():
        elsewhere = np.ones(len(bits[item]), bool)
        for number in range(1, layout.plan.count):
            start = layout.boundary(number)
            end = start + layout.plan.seam
            places["in seams"].append(bits[item][start:end])
            places["after seams"].append(bits[item][end : end + NUM_TOKENS])
            elsewhere[start : end + NUM_TOKENS] = False
        places["elsewhere"].append(bits[item][elsewhere])
    found = {place: np.concatenate(values) for place, values in places.items()}
    return [
        single_row(f"{name}: bits/token {place}", "bits", float(values.mean()), len(values))
        for place, values in found.items()
    ]


def spectral_jumps(job: Job, level: int, item: int) -> np.ndarray:
    """Mean absolute difference of adjacent frames of the log-mel spectrogram, in bels (F - 1,).

    Frame f is centred on sample f * HOP_LENGTH.
    """
    decoder = load_codec(job.model, pick_device(job.device))
    tokens = tokens_of(job, level, item)
    blocks = codec.decode(decoder, level, tokens, job.num_samples(item))
    audio = torch.from_numpy(np.concatenate([np.ravel(block) for block in blocks]))
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(audio, N_FFT, HOP_LENGTH, window=window, return_complex=True)
    power = spectrum.abs().square() / (N_FFT / 4) ** 2
    filterbank = torch.from_numpy(
        mel_filterbank(decoder.config.sample_rate, N_FFT, N_MELS).T.copy()
    )
    log_mel = (filterbank @ power + POWER_FLOOR).log10()
    return np.asarray(log_mel.diff(dim=1).abs().mean(dim=0).numpy())


def jump_rows(
    version: Version,
    level: int,
    jumps: dict[int, np.ndarray],
    layouts: dict[int, SliceLayout],
) -> list[Row]:
    """Mean jump of frames that meet a seam, over that elsewhere."""
    hop_length, reach = version.job.grid.hop_lengths[level], N_FFT // 2 // HOP_LENGTH
    at_seams, elsewhere = [], []
    for item, layout in layouts.items():
        is_at_seam = np.zeros(len(jumps[item]), bool)
        for number in range(1, layout.plan.count):
            start = layout.boundary(number)
            ends = (start, start + layout.plan.seam)
            first, last = (token * hop_length // HOP_LENGTH for token in ends)
            is_at_seam[max(0, first - reach) : last + reach] = True
        at_seams.append(jumps[item][is_at_seam])
        elsewhere.append(jumps[item][~is_at_seam])
    at, other = np.concatenate(at_seams), np.concatenate(elsewhere)
    name = f"{version.name}: spectral jump at seams over elsewhere"
    return [single_row(name, "ratio", float(at.mean() / other.mean()), len(at))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", metavar="MODEL", help="folder or name; default: mini")
    parser.add_argument("--preset", metavar="NAME", help="preset of the song")
    parser.add_argument("--large", action="store_true", help="random weights of a published size")
    parser.add_argument("--seconds", type=float, help="length of the song; default: 24")
    parser.add_argument("--items", type=int, default=1, help="variations of the song")
    parser.add_argument("--level", type=int, default=0, help="the level that is sampled twice")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="slices")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    args = parser.parse_args()
    args.seconds = args.seconds or (60 / SCALE if args.large else 24.0)
    machine = machine_facts()
    with tempfile.TemporaryDirectory() as folder:
        if args.large:
            args.model = str(make_large_model(Path(folder) / "large").path)
        rows = measure(args, Path(folder))
    data = {"machine": machine, "rows": [asdict(row) for row in rows]}
    print(json.dumps(data, indent=1) if args.json else table(rows))
    if args.write:
        facts = [f"{name}: {value}" for name, value in machine.items()]
        text = page("Parallel windows", "parallel_windows.py", facts, NOTES, rows)
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
