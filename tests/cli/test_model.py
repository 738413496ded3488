"""`jukebox model list`, `jukebox model show` and `jukebox model check`."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.storage.model import model_names
from support.command_line import GENERATE, Jukebox, Refused, stdout_of


def test_models_are_listed_and_shown(here: Path, jukebox: Jukebox) -> None:
    assert "mini" in stdout_of(jukebox("model", "list")).splitlines()
    assert "mini" in json.loads(stdout_of(jukebox("model", "list", "--json")))["models"]
    text = stdout_of(jukebox("model", "show", "mini"))
    assert text.startswith("mini: 8000 Hz, 64 codes per level, models/mini\n")
    assert "level 2: hop length 16, 500 tokens/s: artist, genre, timing\n" in text
    assert "genre: jazz, rock\n" in text
    facts = json.loads(stdout_of(jukebox("model", "show", "mini", "--json")))
    assert facts["vocabulary"] == {
        "artist": ["Ada Vale", "Bo Marsh", "Cy Norton"],
        "genre": ["jazz", "rock"],
    }
    assert facts["levels"]["0"] == {
        "hop_length": 4,
        "tokens_per_second": 2000.0,
        "has_prior": True,
        "conditioners": ["artist"],
    }


def test_a_partly_trained_model_is_shown(here: Path, jukebox: Jukebox) -> None:
    (here / "models/mini/prior-0.safetensors").unlink()
    (here / "models/mini/card.md").write_text("# A card\n")
    text = stdout_of(jukebox("model", "show", "mini"))
    assert "level 0: hop length 4, 2000 tokens/s: no prior\n" in text
    assert text.endswith("\n\n# A card\n")


def test_a_model_without_a_config_is_an_error(place: Path, refused: Refused) -> None:
    (place / "models/tiny/config.yaml").unlink()
    error, hint = "models/tiny is not a model: it has no config.yaml", "see `jukebox model list`"
    refused("model", "show", "models/tiny", error=error, hint=hint)
    known = unknown_name("model", "tiny", model_names())
    refused(*GENERATE, error="no model 'tiny'", hint=str(known.hint))


def test_check_reads_all_files_of_a_model(place: Path, jukebox: Jukebox, refused: Refused) -> None:
    text = stdout_of(jukebox("model", "check", "tiny"))
    assert text == "models/tiny: 10 files are whole\n"
    path = Path("models/tiny/vqvae-0.safetensors")
    save_file(load_file(path), path)  # as another program writes it
    error, hint = f"{path} has no checksum", "`jukebox model check models/tiny --record`"
    refused("model", "check", "tiny", error=error, hint=f"if you trust it, record one: {hint}")
    recorded = json.loads(stdout_of(jukebox("model", "check", "tiny", "--record", "--json")))
    assert recorded == {"model": "tiny", "files": 10, "recorded": ["vqvae-0.safetensors"]}
    assert jukebox("model", "check", "tiny").code == 0
