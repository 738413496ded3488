"""benchmarks/memory_estimate.py compares estimates with peaks, on a small model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT


@pytest.mark.slow
def test_estimates_agree_with_peaks(tmp_path: Path) -> None:
    script, scratch = ROOT / "benchmarks/memory_estimate.py", tmp_path / "scratch"
    command = [sys.executable, str(script), str(scratch), "--model", "1b", "--quick"]
    files = ["--json", str(tmp_path / "rows.json"), "--write", str(tmp_path / "memory.md")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not scratch.exists()
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    shares = [row["value"] for row in rows if row["name"].endswith("estimate over peak")]
    assert len(shares) == 2
    assert all(0.8 < share < 1.2 for share in shares)
    assert "estimate over peak" in (tmp_path / "memory.md").read_text()
