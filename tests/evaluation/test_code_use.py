"""Codebook use and bitrates."""

from __future__ import annotations

import numpy as np
import pytest

from jukebox_cli.evaluation.code_use import CodeUse
from jukebox_cli.storage.model import Model


def test_a_level_has_its_bitrate(tiny: Model) -> None:
    config = tiny.config.vqvae  # 8 kHz, hop lengths 4, 8, 16 and 64 codes
    rates = [CodeUse.of_level(config, level).bitrate for level in range(3)]
    assert rates == [12000, 6000, 3000]


def test_codes_that_are_equally_frequent_have_the_most_entropy() -> None:
    use = CodeUse(np.zeros(64, np.int64), 100.0)
    use.add(np.arange(32))
    use.add(np.arange(32))
    assert use.codes_used == 32
    assert use.entropy_bits == pytest.approx(5)
    assert use.bitrate == 600
    assert use.entropy_bitrate == pytest.approx(500)


def test_one_code_alone_says_nothing() -> None:
    use = CodeUse(np.zeros(64, np.int64), 100.0)
    use.add(np.full(10, 3))
    assert (use.codes_used, use.entropy_bits, use.entropy_bitrate) == (1, 0, 0)
