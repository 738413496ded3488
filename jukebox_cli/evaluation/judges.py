"""Judges of sound: models of hearing that give a reconstruction a mean opinion score (MOS).

They are other projects' packages, all of them optional: `pip install 'jukebox-cli[evaluate]'`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NamedTuple

from jukebox_cli.audio.io import Audio
from jukebox_cli.config.suggest import join_names, unknown_name
from jukebox_cli.interfaces.errors import InputError

#: The extra that the judges and matplotlib are in.
EXTRA = "pip install 'jukebox-cli[evaluate]'"

JudgeFunction = Callable[[Audio, Audio], float]


class Judge(NamedTuple):
    """A judge by its name.

    modules, packages: what it imports, and what that is installed as.
    sample_rate: of the audio that it compares, in Hz.
    load: returns the function (original, reconstruction) -> MOS.
    """

    title: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    sample_rate: int
    load: Callable[[], JudgeFunction]

    @property
    def is_installed(self) -> bool:
        return all(find_spec(module) for module in self.modules)


def load_zimtohrli() -> JudgeFunction:
    """Zimtohrli's MOS, from 1 to 5: a psychoacoustic spectrogram, compared by a variant of NSIM.

    Source: https://github.com/google/zimtohrli; its own map from distances to MOS.
    """
    from zimtohrli import mos_from_signals

    return lambda original, reconstruction: float(mos_from_signals(original, reconstruction))


def load_visqol() -> JudgeFunction:
    """ViSQOL's MOS-LQO in its audio mode, from 1 to about 4.7, with the model of its package.

    Source: Chinen et al., ViSQOL v3, 2020, as https://github.com/talker93/visqol-python has it.
    """
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")

    def judge(original: Audio, reconstruction: Audio) -> float:
        return float(api.measure_from_arrays(original, reconstruction, 48000).moslqo)

    return judge


#: The judges, in the order of the table. One more is a function and a line here.
JUDGES = {
    "zimtohrli": Judge("Zimtohrli", ("zimtohrli",), ("zimtohrli",), 48000, load_zimtohrli),
    "visqol": Judge(
        "ViSQOL",
        ("visqol", "libsvm"),
        ("visqol-python", "libsvm-official"),
        48000,
        load_visqol,
    ),
}


def choose_judges(names: Sequence[str] | None) -> tuple[dict[str, Judge], dict[str, str]]:
    """The judges of some names, and why others of these are left out, by name; of None, all.

    Raises InputError for a name that is unknown, or whose judge was named but is not installed.
    """
    for name in names or ():
        if name not in JUDGES:
            raise unknown_name("judge", name, list(JUDGES))
        if not JUDGES[name].is_installed:
            raise InputError(f"judge '{name}' is not installed", EXTRA)
    wanted = {name: JUDGES[name] for name in (JUDGES if names is None else dict.fromkeys(names))}
    missing = {
        name: f"needs {join_names(judge.packages)}: {EXTRA}"
        for name, judge in wanted.items()
        if not judge.is_installed
    }
    return {name: judge for name, judge in wanted.items() if name not in missing}, missing
