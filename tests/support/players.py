"""Programs that seem to play audio."""

from __future__ import annotations

from pathlib import Path


def make_player(folder: Path, name: str, code: int = 0, text: str = "") -> Path:
    """Makes a program in a folder that writes its arguments, a line each, to the file that is
    returned, prints `text`, and ends with an exit code."""
    script, played = folder / name, folder / f"{name}.txt"
    lines = [
        "#!/bin/sh",
        f"printf '%s\\n' \"$@\" >> '{played}'",
        f"[ -z '{text}' ] || echo '{text}'",
        f"exit {code}",
    ]
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return played
