"""What can be wrong with checkpoints of elsewhere: one line, a hint, and nothing is run."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jukebox_plugins.openai.pickle_reader import read_pickle
from safetensors.torch import save_file

from jukebox_cli.interfaces.errors import InputError
from support import originals
from support.originals import TOP
from support.results import Result
from support.run_files import contents

Jukebox = Callable[..., Result]


@pytest.fixture
def refused(here: Path, jukebox: Jukebox) -> Callable[..., None]:
    def run(*words: object, error: str, hint: str) -> None:
        before = contents(here)
        result = jukebox("model", "import", *(words or ("theirs",)), "--name", "mine", "-q")
        assert result == Result(2, "", f"error: {error}\n\nhint: {hint}\n")
        assert contents(here) == before

    return run


Refused = Callable[..., None]


@pytest.mark.parametrize("name", ["a/b", "", ".", "..", ".hidden"])
def test_a_name_that_is_no_folder_is_told(name: str, theirs: Path, jukebox: Jukebox) -> None:
    result = jukebox("model", "import", "theirs", "--name", name)
    hint = "choose a name without slashes that doesn't begin with a dot"
    assert result == Result(2, "", f"error: a model can't be called '{name}'\n\nhint: {hint}\n")


def test_a_name_that_is_taken_is_told(theirs: Path, refused: Refused) -> None:
    Path("models/mine").mkdir(parents=True)
    Path("models/mine/config.yaml").touch()
    refused(error="models/mine exists already", hint="choose another --name, or remove it")


def test_folders_without_a_model_are_told(theirs: Path, refused: Refused) -> None:
    hint = "name the folder that the checkpoints are in"
    refused("nowhere", error="no folder nowhere", hint=hint)
    refused("theirs/vqvae.pth.tar", error="no folder theirs/vqvae.pth.tar", hint=hint)
    Path("empty").mkdir()
    hint = "it needs vqvae.pth.tar and prior_level_N.pth.tar, or config.json and weights"
    refused("empty", error="empty holds no model that can be imported", hint=hint)


def test_a_port_and_another_folder_are_told(theirs: Path, refused: Refused) -> None:
    Path("port").mkdir()
    Path("port/config.json").write_text("{}")
    error = "port is a complete model of the transformers port"
    refused("theirs", "port", error=error, hint="name that folder alone")


@pytest.mark.parametrize("name", ["vqvae.pth.tar", "prior_level_1.pth.tar"])
def test_a_file_that_is_missing_is_told(name: str, theirs: Path, refused: Refused) -> None:
    (theirs / name).unlink()
    hint = "name another folder too, if it is of the same model"
    refused(error=f"no file theirs/{name}", hint=hint)
    Path("others").mkdir()
    Path("others", name).touch()
    hint = f"name {Path('others').absolute()} too, if it is of the same model"
    refused(error=f"no file theirs/{name}", hint=hint)


def test_labels_that_are_none_are_told(theirs: Path, refused: Refused) -> None:
    words = ("theirs", "--labels", "ids")
    refused(*words, error="no folder ids", hint="name the folder that the lists are in")
    Path("ids").mkdir()
    hint = "it needs v2_artist_ids.txt and v2_genre_ids.txt, or those of v3, or vocab.json"
    refused(*words, error="ids has no lists of artists and genres", hint=hint)
    originals.write_lists(Path("ids"))
    Path("ids/v2_genre_ids.txt").write_text("rock;1\njazz\n")
    refused(
        *words,
        error="ids/v2_genre_ids.txt:2: can't read 'jazz'",
        hint="write lines of 'name;id'",
    )


class Payload:
    """What a pickle can do to who reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(zipped: bool, theirs: Path, refused: Refused) -> None:
    path = theirs / "prior_level_0.pth.tar"
    data = torch.load(path, weights_only=True)
    torch.save({**data, "extra": Payload()}, path, _use_new_zipfile_serialization=zipped)
    refused(
        error="theirs/prior_level_0.pth.tar holds more than tensors and plain values: posix.system",
        hint="it could run code, so it is not read; get the weights alone",
    )
    assert not Path("harmed").exists()


def opcodes(*parts: bytes) -> bytes:
    return b"".join([b"\x80\x02", *parts, b"."])


ORDERED = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (opcodes(b"cbuiltins\neval\n"), "builtins.eval"),
        (opcodes(b"cbuiltins\ngetattr\n"), "builtins.getattr"),
        (opcodes(b"ctorch\nload\n"), "torch.load"),
        (
            opcodes(b"cjukebox_plugins.openai.pickle_reader\n_PickledTensor\n"),
            "pickle_reader._PickledTensor",
        ),
        (opcodes(REBUILD, b"}b"), "a state for a function"),
        (opcodes(REBUILD, b"N}\x86b"), "a state for a function"),
        (opcodes(b"(X\x03\x00\x00\x00abcNNNNtQ"), "a abc"),
    ],
)
def test_nothing_but_tensors_and_plain_values_can_be_named(
    text: bytes, what: str, here: Path
) -> None:
    path = here / "bad.pth.tar"
    path.write_bytes(zip_of(text))
    with pytest.raises(InputError, match="holds more than tensors and plain values") as caught:
        read_pickle(path)
    assert caught.value.message.endswith(what)


def zip_of(text: bytes, **more: bytes) -> bytes:
    """A file like torch.save's with that pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", text)
        for name, data in more.items():
            archive.writestr(f"archive/data/{name.removeprefix('_')}", data)
    return buffer.getvalue()


def saved() -> bytes:
    """A file with a tensor of four numbers in it."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("old", "new", "size", "reason"),
    [
        (b"K\x04\x85", b"K\x09\x85", 16, "a tensor is larger than its storage"),
        (b"K\x04\x85", b"K\x04\x85", 12, "storage 0 has 12 bytes"),
        (b"K\x00K\x04\x85", b"J\xff\xff\xff\xffK\x04\x85", 16, "a tensor has impossible sizes"),
    ],
)
def test_a_tensor_that_is_not_in_its_storage_is_told(
    old: bytes, new: bytes, size: int, reason: str, here: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(saved())) as archive:
        text = archive.read("archive/data.pkl")
    assert old in text
    (here / "bad.pth.tar").write_bytes(zip_of(text.replace(old, new), _0=bytes(size)))
    with pytest.raises(InputError, match=rf"bad\.pth\.tar is damaged: {reason}"):
        read_pickle(here / "bad.pth.tar")


def test_a_wrong_checksum_is_told(here: Path) -> None:
    (here / "bad.pth.tar").write_bytes(saved().replace(b"K\x04\x85", b"K\x09\x85"))
    with pytest.raises(InputError, match="is damaged: a checksum is wrong"):
        read_pickle(here / "bad.pth.tar")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_told(
    zipped: bool, share: float, here: Path, jukebox: Jukebox
) -> None:
    theirs = originals.write(here / "theirs", zipped=zipped)
    path = theirs / "prior_level_2.pth.tar"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    result = jukebox("model", "import", "theirs", "--name", "mine", "-q")
    assert result.code == 2
    assert result.err.startswith(f"error: {Path('theirs', path.name)} is ")
    assert not Path("models").exists()


def test_a_page_that_was_saved_as_a_checkpoint_is_told(theirs: Path, refused: Refused) -> None:
    (theirs / "vqvae.pth.tar").write_text("<html>404</html>")
    hint = "download it again: it may be a web page with an error message"
    refused(error="theirs/vqvae.pth.tar is not a checkpoint", hint=hint)


def test_a_checkpoint_without_a_model_is_told(theirs: Path, refused: Refused) -> None:
    torch.save({"step": 3}, theirs / "prior_level_0.pth.tar")
    hint = "name a folder of the original checkpoints"
    refused(error="theirs/prior_level_0.pth.tar holds no model", hint=hint)


def test_a_file_that_may_not_be_read_is_told(
    theirs: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*words: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("jukebox_plugins.openai.pickle_reader._is_zip", denied)
    error = "can't read theirs/vqvae.pth.tar: Permission denied"
    refused(error=error, hint="change its permissions")


def without_settings(path: Path) -> None:
    data = torch.load(path, weights_only=True)
    del data["hps"]
    torch.save(data, path)


def test_settings_that_no_file_says_are_not_guessed(theirs: Path, refused: Refused) -> None:
    without_settings(theirs / "prior_level_1.pth.tar")
    what = "it does not contain its hyperparameters (hps), and no published model has its shape"
    refused(error=f"prior-1: {what}", hint="use the file that training wrote")
    without_settings(theirs / "vqvae.pth.tar")
    refused(error=f"vqvae: {what}", hint="use the file that training wrote")


ONLY = "only models made like the published ones can be imported"
COMPLETE = "are these files of one model, and complete?"


@pytest.mark.parametrize(
    ("change", "error", "hint"),
    [
        ({"attn_order": 3}, "attention order 3 is not known here", None),
        ({"copy_input": True}, "a prior with copy_input is not known here", ONLY),
        ({"heads": 3}, "its settings describe no network: attention * width must be", COMPLETE),
        ({"blocks": "8"}, "its settings describe no network: ", COMPLETE),
    ],
)
def test_settings_of_no_network_are_told(
    change: dict[str, Any], error: str, hint: str | None, here: Path, jukebox: Jukebox
) -> None:
    theirs = originals.write(here / "theirs")
    path = theirs / "prior_level_2.pth.tar"
    originals.save(path, originals.state(TOP, 2), {**TOP, **change})
    result = jukebox("model", "import", "theirs", "--name", "mine", "-q")
    assert result.code == 2
    assert result.err.startswith(f"error: prior-2: {error}")
    assert hint is None or result.err.endswith(f"\nhint: {hint}\n")
    assert not Path("models").exists()


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    data = torch.load(path, weights_only=True)
    change(data["model"])
    torch.save(data, path)


def test_tensors_that_do_not_fit_are_told(theirs: Path, refused: Refused) -> None:
    path, name = theirs / "prior_level_0.pth.tar", "prior.transformer._attn_mods.1.mlp.c_fc.b"
    ours = "transformer.layers.1.mlp_in.bias"
    change_tensors(path, lambda model: model.pop(name))
    refused(error=f"prior-0 lacks {ours}", hint=COMPLETE)
    change_tensors(path, lambda model: model.update({name: torch.zeros(3)}))
    refused(error=f"prior-0: {ours} is (3,), and should be (16,)", hint=COMPLETE)
    change_tensors(path, lambda model: model.update({name: torch.zeros(16)}))
    change_tensors(path, lambda model: model.update({"prior.more": torch.zeros(3)}))
    refused(error="prior-0: a prior with prior.more is not known here", hint=ONLY)
    change_tensors(path, lambda model: model.pop("prior.more"))
    extra = "prior.transformer._attn_mods.1.attn.c_enc_kv.b"
    change_tensors(path, lambda model: model.update({extra: torch.zeros(3)}))
    ours = "transformer.layers.1.attention.key_value.bias"
    error = f"prior-0 has {ours}, which its settings have no place for"
    refused(error=error, hint=COMPLETE)


def test_a_prior_that_is_none_of_its_own_is_told(theirs: Path, refused: Refused) -> None:
    shutil.copy(theirs / "vqvae.pth.tar", theirs / "prior_level_0.pth.tar")
    error = "prior-0: the checkpoint of a prior has no prior.x_emb.weight"
    refused(error=error, hint="is it one of Jukebox's?")


# the port's


def port(**change: Any) -> Path:
    """A folder with its settings and hardly a weight."""
    folder = Path("port")
    folder.mkdir(exist_ok=True)
    said = {"model_type": "jukebox", "vqvae_config": {"levels": 1}, "nb_priors": 1}
    prior = {"nb_relevant_lyric_tokens": 0, "attention_pattern": "full_dense_attention"}
    text = json.dumps({**said, "prior_config_list": [prior], **change})
    (folder / "config.json").write_text(text)
    return folder


def prior(**change: Any) -> dict[str, Any]:
    return {"prior_config_list": [{"nb_relevant_lyric_tokens": 0, **change}]}


PATTERNS = (
    "full_dense_attention, raw_column_previous_row_attention, large_separated_enc_dec_w_lyrics, "
    "enc_dec_with_lyrics"
)


@pytest.mark.parametrize(
    ("change", "error", "hint"),
    [
        ({"model_type": "bert"}, " is of a model of type 'bert'", "its model_type must be jukebox"),
        ({"nb_priors": 0}, " has 0 priors for 1 levels", "a model needs one for each"),
        (
            {"vqvae_config": {"levels": 1, "conv_res_scale": True}},
            " has a VQ-VAE with conv_res_scale, which is not known here",
            "only models made like the published ones can be imported",
        ),
        (prior(act_fn="relu"), ": activation 'relu' is not known here", "known is quick_gelu"),
        (
            prior(attention_pattern="mine"),
            ": attention pattern 'mine' is not known here",
            f"known are {PATTERNS}",
        ),
    ],
)
def test_settings_of_the_port_that_are_not_known_are_told(
    change: dict[str, Any], error: str, hint: str, refused: Refused
) -> None:
    port(**change)
    refused("port", error=f"port/config.json{error}", hint=hint)


def test_a_port_without_all_its_weights_is_told(refused: Refused) -> None:
    folder = port()
    error, hint = "port holds no weights", "it needs *.safetensors or *.bin files"
    refused("port", error=error, hint=hint)
    save_file({"a": torch.zeros(2)}, folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    error, hint = "no file port/model-2.safetensors", "is the download complete?"
    refused("port", error=error, hint=hint)
    (folder / "model-2.safetensors").write_bytes(b"half")
    hint = "download it again, or restore it from a copy"
    what = "Error while deserializing header: header too small"
    refused("port", error=f"port/model-2.safetensors is damaged: {what}", hint=hint)
    save_file({"b": torch.zeros(2, dtype=torch.int64)}, folder / "model-2.safetensors")
    error = "port/model-2.safetensors: b is of type int64"
    refused("port", error=error, hint="weights are float16, bfloat16 or float32")


def test_an_old_file_of_the_port_that_holds_no_model_is_told(refused: Refused) -> None:
    torch.save([1, 2], port() / "pytorch_model.bin")
    error, hint = "port/pytorch_model.bin holds no model", "name a folder of a model's weights"
    refused("port", error=error, hint=hint)


def test_letters_with_numbers_left_out_are_told(refused: Refused) -> None:
    folder = port()
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    (folder / "vocab.json").write_text(json.dumps({"lyrics": {"a": 1, "b": 3}}))
    error = "port/vocab.json is damaged: ValueError: its characters do not have the ids 1 to 2"
    refused("port", error=error, hint="restore it from a copy, or make it again")
