"""Fixtures: a MIDI file of four instruments."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.midi_files import write_band


@pytest.fixture
def band(tmp_path: Path) -> Path:
    """A MIDI file of a piano, a bass, a voice and drums."""
    return write_band(tmp_path / "band.mid")
