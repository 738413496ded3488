"""The command `jukebox align`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.results import Result
from support.singing_model import make_singing_model

Jukebox = Callable[..., Result]


@pytest.fixture(scope="module", params=["cross_attention", "prefix"])
def singer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, registry: Registry
) -> Path:
    """A model with lyrics and random weights."""
    path = tmp_path_factory.mktemp("models") / f"singer-{request.param}"
    return make_singing_model(path, registry, request.param).path


@pytest.fixture
def run(singer: Path, here: Path, jukebox: Jukebox) -> Path:
    """A run of two items with lyrics."""
    options = ("--lyrics", "[Verse]\nwe go far\nfar away", "--seconds", 0.5, "--items", 2)
    done = jukebox("generate", "--model", singer, "--out", "run", "--until", "top", "-q", *options)
    assert done.code == 0, done.err
    return here / "run"


def test_a_run_is_aligned(run: Path, jukebox: Jukebox) -> None:
    done = jukebox("align", run)
    assert done.code == 0, done.err
    files = [run / "alignment" / f"item-0{n}.json" for n in (0, 1)]
    assert done.out.split() == [str(file) for file in files]
    assert "aligning with head " in done.err
    alignment = json.loads(files[0].read_text())
    assert [alignment[key] for key in ("format", "item", "level", "layer")] == [2, 0, 2, 1]
    assert alignment["lines"][0] == {"section": "Verse"}
    lines = alignment["lines"][1:]
    assert [line["text"] for line in lines] == ["we go far", "far away"]
    starts = [w["start"] for line in lines for w in line["words"] if "start" in w]
    assert starts
    assert starts == sorted(starts)
    assert all(0 <= start <= 0.5 for start in starts)
    assert (run / "alignment" / "item-00.lrc").exists()
    assert (run / "alignment" / "item-00.words.lrc").exists()
    assert "aligned" in (run / "log.jsonl").read_text()


@pytest.mark.parametrize("head", [0, 1])
def test_the_head_known_for_a_model_is_used(
    singer: Path, here: Path, head: int, jukebox: Jukebox
) -> None:
    shutil.copytree(singer, here / "known")
    model = Model(here / "known")
    fitted = model.fitted_conditioners(2)
    fitted["lyrics"] = {**fitted["lyrics"], "alignment_head": [1, head]}
    model.write_fitted_conditioners(2, fitted)
    options = ("--lyrics", "we go", "--seconds", 0.2, "--until", "top", "-q")
    assert jukebox("generate", "--model", model.path, "--out", "run", *options).code == 0
    assert f"head {head} of layer 1" in jukebox("align", "run").err


def test_a_model_lists_its_charset(singer: Path, jukebox: Jukebox) -> None:
    shown = jukebox("model", "show", singer).out
    assert "\nlyrics characters: a, b, e, f, g, o, r, w, y\n" in shown


def test_head_and_items_can_be_chosen(run: Path, jukebox: Jukebox) -> None:
    done = jukebox("align", run, "--head", "1,0", "--only", 1, "--json", "-q")
    assert (done.code, done.err) == (0, "")
    (path,) = json.loads(done.out)["alignments"]
    assert json.loads(Path(path).read_text())["head"] == 0
    assert not (run / "alignment" / "item-00.json").exists()


def refused(jukebox: Jukebox, *arguments: object) -> tuple[str, str]:
    """Message and hint of a command that fails."""
    done = jukebox("align", *arguments)
    assert done.code == 2
    error, _, hint = done.err.partition("\n\n")
    return error.removeprefix("error: "), hint.removeprefix("hint: ").strip()


def test_unknown_heads_are_errors(run: Path, jukebox: Jukebox) -> None:
    assert refused(jukebox, run, "--head", "up") == (
        "can't read --head 'up'",
        "write layer and head, such as 3,1",
    )
    for head in ("0,0", "1,2"):
        layer, number = head.split(",")
        assert refused(jukebox, run, "--head", head) == (
            f"head {number} of layer {layer} does not attend to lyrics",
            "choose a head from 0 to 1 of layer 1",
        )
    assert not (run / "alignment").exists()


def test_an_item_with_missing_tokens_is_an_error(run: Path, jukebox: Jukebox) -> None:
    tokens = run / "tokens"
    (tokens / "level-1").mkdir()
    (tokens / "level-2" / "item-00.safetensors").rename(tokens / "level-1" / "item-00.safetensors")
    assert refused(jukebox, run, "--only", 0) == (
        f"item 0 of {run} is not complete at level 2",
        "finish it with the command that began it",
    )


def test_runs_without_lyrics_are_errors(
    singer: Path, here: Path, tiny: Model, jukebox: Jukebox
) -> None:
    def generate(out: str, model: Path, *options: object) -> None:
        common = ("--seconds", 0.2, "--until", "top", "-q")
        assert jukebox("generate", "--model", model, "--out", out, *options, *common).code == 0

    hint = "choose other items: --only"
    generate("instrumental", singer)
    assert refused(jukebox, "instrumental") == ("item 0 of instrumental has no lyrics", hint)
    generate("unknown", singer, "--lyrics", "\u2581 \u2582")
    assert refused(jukebox, "unknown") == (
        "item 0 of unknown has no lyrics in the model's charset",
        hint,
    )
    generate("other", tiny.path)
    assert refused(jukebox, "other") == (
        "model 'tiny' takes no lyrics",
        "align a run of a model that does",
    )
