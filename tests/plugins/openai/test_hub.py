"""`jukebox model pull`, from a hub on this machine that is served from folders."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, file_download
from jukebox_plugins.openai import hub as our_hub
from pytest_httpserver import HTTPServer

from jukebox_cli.storage.model import Model, find_model
from support import originals
from support.local_hub import COMMIT, Hub
from support.results import Result
from support.run_files import contents

Jukebox = Callable[..., Result]
#: The library before it had another way to the net.
OLD = int(huggingface_hub.__version__.split(".")[0]) < 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's cache, and a working folder beside it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(
    cache: Path,
    tiny: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    httpserver: HTTPServer,
) -> Hub:
    """One with a model of this program, an original one, and others that are no models."""
    checkpoints = originals.write(tmp_path / "checkpoints")
    bert, texts = tmp_path / "bert", tmp_path / "texts"
    for folder in (bert, texts):
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "bert"}')
    shutil.copy(tiny.weights("prior-0"), bert / "model.safetensors")
    own = Path(shutil.copytree(tiny.path, tmp_path / "own"))
    (own / "README.md").write_text("# A model\n")
    (own / "train").mkdir()
    (own / "train" / "prior-0.safetensors").write_bytes(b"much")
    folders = {"me/tiny": own, "me/checkpoints": checkpoints, "me/bert": bert, "me/texts": texts}
    hub = Hub(httpserver, folders)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    place = file_download if OLD else constants
    monkeypatch.setattr(place, "HUGGINGFACE_CO_URL_TEMPLATE", _template(hub.url))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    return hub


def _template(url: str) -> str:
    return url + "/{repo_id}/resolve/{revision}/{filename}"


def test_a_model_of_this_program_is_downloaded(hub, jukebox, tiny):
    result = jukebox("model", "pull", "me/tiny", "--name", "fetched", "--quiet")
    assert result == Result(0, "models/fetched\n", "")
    there = find_model("fetched")
    for path in tiny.path.iterdir():
        assert (there.path / path.name).read_bytes() == path.read_bytes()
    assert "train" not in {path.name for path in there.path.iterdir()}
    assert jukebox("generate", "--model", "fetched", "--seconds", 0.05, "--out", "run").code == 0


def test_original_checkpoints_are_downloaded_and_imported(hub, jukebox):
    result = jukebox("model", "pull", "me/checkpoints", "--json", "--quiet")
    assert result.code == 0
    assert result.out == '{"model": "checkpoints", "folder": "models/checkpoints"}\n'
    assert "no lists of artists and genres" in result.err
    assert [find_model("checkpoints").has_prior(level) for level in range(3)] == [True] * 3


def test_a_named_revision_is_downloaded(hub, jukebox):
    assert jukebox("model", "pull", "me/tiny", "--revision", COMMIT, "-q").code == 0


def test_cached_files_are_not_downloaded_again(hub, jukebox):
    assert jukebox("model", "pull", "me/tiny", "-q").code == 0
    shutil.rmtree("models")
    hub.server.clear_log()
    assert jukebox("model", "pull", "me/tiny", "-q").code == 0
    assert not [row for row in hub.requests if row[0] == "GET"]


def test_progress_goes_to_stderr(hub, jukebox, capfd):
    assert jukebox("model", "pull", "me/tiny").out == "models/tiny\n"


LARGE = "prior-2.safetensors"


def test_a_broken_download_is_resumed(hub, jukebox, tiny):
    size = tiny.weights("prior-2").stat().st_size
    hub.breaks[LARGE] = size // 2
    result = jukebox("model", "pull", "me/tiny", "-q")
    if result.code or OLD:  # newer versions of the library go on by themselves
        assert result.code == 2
        broken = "error: can't download me/tiny: ('Connection broken: IncompleteRead"
        assert result.err.startswith(broken)
        assert result.err.endswith(
            "\nhint: run the same command again: it continues the download\n"
        )
        assert not Path("models/tiny").exists()
        assert jukebox("model", "pull", "me/tiny", "-q").code == 0
    first, second = hub.fetched(LARGE)
    assert first == 0
    assert size // 2 - 1024 < second <= size // 2
    made = find_model("tiny").weights("prior-2")
    assert made.read_bytes() == tiny.weights("prior-2").read_bytes()


def refused(jukebox: Jukebox, *words: object, error: str, hint: str) -> None:
    before = contents(Path())
    result = jukebox("model", "pull", *words, "--quiet")
    assert result == Result(2, "", f"error: {error}\n\nhint: {hint}\n")
    assert contents(Path()) == before


def test_a_damaged_file_is_an_error_and_downloaded_again(hub, jukebox, tiny):
    hub.spoiled.add(LARGE)
    result = jukebox("model", "pull", "me/tiny", "-q")
    assert result.code == 2
    assert result.err.startswith(f"error: {LARGE} of me/tiny was damaged in the download: ")
    assert result.err.endswith("\nhint: run the same command again to download it anew\n")
    assert not Path("models/tiny").exists()
    hub.spoiled.clear()
    assert jukebox("model", "pull", "me/tiny", "-q").code == 0
    assert hub.fetched(LARGE) == [0, 0]


def test_small_files_are_verified(hub, jukebox):
    hub.spoiled.add("config.yaml")
    result = jukebox("model", "pull", "me/tiny", "-q")
    assert result.err.startswith("error: config.yaml of me/tiny was damaged in the download: ")


def test_another_kind_of_model_is_refused_before_its_weights_are_downloaded(hub, jukebox, cache):
    result = jukebox("model", "pull", "me/bert", "-q")
    assert result.code == 2
    assert "config.json is of a model of type 'bert'" in result.err
    assert hub.fetched("model.safetensors") == []


def test_a_repository_without_weights_is_an_error(hub, jukebox):
    refused(
        jukebox,
        "me/texts",
        error="me/texts holds no model that can be imported",
        hint="it needs weights with config.json (transformers port) or config.yaml (jukebox)",
    )


def test_an_unknown_repository_is_an_error(hub, jukebox):
    refused(
        jukebox,
        "me/nothing",
        error=f"no model me/nothing at {hub.url}",
        hint="check the name; a private one needs `hf auth login`",
    )


def test_an_invalid_name_is_an_error(hub, jukebox):
    refused(
        jukebox,
        "a/b/c",
        error="'a/b/c' is not a name on the Hub",
        hint="write it as owner/name, such as openai/jukebox-1b-lyrics",
    )


def test_an_unknown_revision_is_an_error(hub, jukebox):
    refused(
        jukebox,
        "me/tiny",
        "--revision",
        "v9",
        error="me/tiny has no revision 'v9'",
        hint="name a branch, a tag or a full commit hash, or leave --revision out",
    )


def test_a_gated_model_is_an_error(hub, jukebox):
    hub.refuses["me/tiny"] = (403, "GatedRepo")
    refused(
        jukebox,
        "me/tiny",
        error="me/tiny is gated",
        hint=f"accept its terms on {hub.url}/me/tiny, then run `hf auth login`",
    )


def test_an_error_of_the_hub_is_shown(hub, jukebox):
    hub.refuses["me/tiny"] = (500, "")
    result = jukebox("model", "pull", "me/tiny", "-q")
    assert result.code == 2
    reason = "500 Server Error" if OLD else "Server error '500 "
    assert result.err.startswith(f"error: can't download me/tiny: {reason}")
    assert result.err.endswith("\nhint: run the same command again: it continues the download\n")


def test_a_hub_that_can_not_be_reached_is_an_error(cache, jukebox, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    result = jukebox("model", "pull", "me/tiny", "-q")
    assert result.code == 2
    assert result.err.startswith("error: can't download me/tiny: ")
    assert result.err.endswith("\nhint: run the same command again: it continues the download\n")


def test_too_little_space_is_an_error_before_anything_is_downloaded(
    hub, jukebox, cache, monkeypatch
):
    usage = shutil._ntuple_diskusage(total=10, used=9, free=1000)
    monkeypatch.setattr(our_hub.shutil, "disk_usage", lambda path: usage)
    hint = "free some space, or set HF_HOME to a folder on another disk"
    error = f"me/tiny needs 0.0 GB more, and {cache} has 0.0"
    refused(jukebox, "me/tiny", error=error, hint=hint)
    assert hub.requests == []


def test_an_existing_model_is_an_error_before_anything_is_downloaded(hub, jukebox):
    Path("models/tiny").mkdir(parents=True)
    Path("models/tiny/song.wav").touch()
    hint = "choose another --name, or remove it"
    refused(jukebox, "me/tiny", error="models/tiny exists already", hint=hint)
    assert hub.requests == []


def test_without_the_library_the_hint_says_how_to_install_it(cache, jukebox, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setattr(our_hub, "find_spec", lambda name: None)
    refused(
        jukebox,
        "me/tiny",
        error="pulling models needs huggingface_hub",
        hint="install it: pip install 'jukebox-cli[hub]'",
    )
