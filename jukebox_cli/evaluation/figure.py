"""A figure of what codecs leave of a clip: mel spectrograms, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.audio.io import Audio
from jukebox_cli.audio.mel import mel_center_frequencies, mel_filterbank
from jukebox_cli.evaluation.clips import resample
from jukebox_cli.evaluation.judges import EXTRA
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jukebox_cli.evaluation.codec import Rendition

N_FFT, HOP_LENGTH, NUM_MEL_BANDS = 2048, 512, 128
#: The range of colours below the loudest point of the original, in dB.
RANGE_DB = 80.0
#: Frequencies that the axis names, in Hz.
LABELS_HZ = (200, 1000, 4000, 10000)
WIDTH_INCHES, ROW_INCHES, DPI = 8.0, 1.3, 120


def validate_figure(path: Path) -> None:
    """Raises InputError for a file that is no PNG, and if matplotlib is not installed."""
    if path.suffix.lower() != ".png":
        raise InputError(f"can't draw {path}: not a .png file", "name it, e.g., codec.png")
    if not find_spec("matplotlib"):
        raise InputError("--figure needs matplotlib", EXTRA)


def write_figure(path: Path, renditions: Sequence[Rendition]) -> None:
    """Writes the mel spectrograms of renditions of one clip to a PNG file, the first on top.

    All have the sample rate and the range of colours of the first, which is the original. The
    paper shows the reconstructions of its levels so.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rate, length = renditions[0].sample_rate, len(renditions[0].audio)
    sounds = [resample(each.audio, each.sample_rate, rate, length) for each in renditions]
    spectrograms = [mel_spectrogram_db(sound, rate) for sound in sounds]
    loudest = float(spectrograms[0].max())
    height = ROW_INCHES * len(renditions)
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(renditions), 1, sharex=True, squeeze=False)[:, 0]
    for axes, each, spectrogram in zip(rows, renditions, spectrograms, strict=True):
        _draw(axes, each.title, spectrogram, loudest, rate, length / rate)
    rows[-1].set_xlabel("seconds")
    with atomic_write(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})  # the same bytes each time


def mel_spectrogram_db(audio: Audio, sample_rate: int) -> np.ndarray:
    """Power in mel bands of audio (N,), in dB: (NUM_MEL_BANDS, frames)."""
    import torch

    from jukebox_cli.train.losses import STFTResolution, stft_magnitude

    batch = torch.from_numpy(np.asarray(audio, np.float32))[None]
    power = stft_magnitude(batch, STFTResolution(N_FFT, HOP_LENGTH, N_FFT))[0].numpy() ** 2
    bands = mel_filterbank(sample_rate, N_FFT, NUM_MEL_BANDS).T @ power
    return np.asarray(10 * np.log10(bands + 1e-10))


def _draw(
    axes: Axes, title: str, spectrogram: np.ndarray, loudest: float, rate: int, seconds: float
) -> None:
    axes.imshow(
        spectrogram,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, seconds, 0, NUM_MEL_BANDS),
        vmin=loudest - RANGE_DB,
        vmax=loudest,
        interpolation="nearest",
    )
    labels = [hz for hz in LABELS_HZ if hz < rate / 2]
    bands = np.interp(labels, mel_center_frequencies(rate, NUM_MEL_BANDS), range(NUM_MEL_BANDS))
    axes.set_yticks(bands + 0.5, [f"{hz / 1000:g}k" for hz in labels])
    axes.set_title(title, loc="left", fontsize=9)
