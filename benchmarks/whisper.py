"""Audio -> words, by Whisper small (Radford et al. 2022, arXiv 2212.04356) in ONNX, 8 bits.

English, up to 30 seconds, greedily: at every step the likeliest token, but for those that Whisper
never says. `judges.txt` says where the weights are from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from judges import judge

from jukebox_cli.audio.io import Audio, read_audio
from jukebox_cli.interfaces.errors import InputError

RATE, SECONDS, HOP, WINDOW, MELS = 16000, 30, 160, 400, 80
#: start of transcript, English, transcribe, no timestamps
PROMPT = (50258, 50259, 50359, 50363)
END = 50257
#: More tokens than anyone sings in 30 seconds; it may go round in circles.
MOST = 200
WEIGHTS = {
    "encoder_model_quantized.onnx": (
        "969f5ac12974340386bf7a02ea6626003e5e2dee396ffc6ab0eec282bf55ba06"
    ),
    "decoder_model_merged_quantized.onnx": (
        "fcfc6100dc7339e7507e10f8b274350be7c4f8d8b575f0293f94cc0e156d6d24"
    ),
}


def reader(folder: Path) -> Callable[[Path], str]:
    """A function that writes down the words of a recording, by the weights in a folder."""
    check(folder)
    whisper = Whisper(folder)

    def read(path: Path) -> str:
        print(f"words of {path.name}", file=sys.stderr)
        return whisper.read(read_audio(path, RATE))

    return read


def check(folder: Path) -> None:
    """InputError when the weights are not the ones that figures are told of."""
    hint = (
        "name the folder of Whisper small with --whisper; benchmarks/judges.txt says how to get it"
    )
    for name in ("tokenizer.json", "generation_config.json"):
        if not (folder / name).is_file():
            raise InputError(f"no file {folder / name}", hint)
    for name, digest in WEIGHTS.items():
        path = folder / "onnx" / name
        if not path.is_file():
            raise InputError(f"no file {path}", hint)
        if sha256(path.read_bytes()).hexdigest() != digest:
            raise InputError(f"{path} is not the Whisper that figures are told of", hint)


@dataclass(frozen=True)
class Whisper:
    """The encoder, the decoder and the tokenizer in a folder."""

    folder: Path

    def read(self, sound: Audio) -> str:
        """The words in up to 30 seconds of mono audio at 16 kHz."""
        features = log_mel(sound, self.filters)[None].numpy()  # (1, 80, 3000)
        (states,) = self.encoder.run(["last_hidden_state"], {"input_features": features})
        text: str = self.tokenizer.decode(self._tokens(states), skip_special_tokens=True)
        return text.strip()

    def _tokens(self, states: np.ndarray) -> list[int]:
        """What the decoder says of encoded audio (1, 1500, W)."""
        said: list[int] = []
        past = {name: self._nothing(states) for name in self._pasts}
        fresh: Sequence[int] = PROMPT
        while len(said) < MOST:
            logits, past = self._step(states, fresh, past, bool(said))
            logits[self.never if said else self.never_first] = -np.inf
            token = int(logits.argmax())
            if token == END:
                break
            said.append(token)
            fresh = (token,)
        return said

    def _step(
        self, states: np.ndarray, fresh: Sequence[int], past: dict[str, np.ndarray], cached: bool
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Logits (V,) after tokens, and the keys and values to go on with."""
        inputs = {"input_ids": np.array([fresh]), "encoder_hidden_states": states, **past}
        inputs["use_cache_branch"] = np.array([cached])
        presents = [name.replace("past_key_values", "present") for name in self._pasts]
        logits, *present = self.decoder.run(["logits", *presents], inputs)
        made = dict(zip(self._pasts, present, strict=True))
        if cached:  # those of the encoder come back empty once they were given
            made |= {name: old for name, old in past.items() if ".encoder." in name}
        return logits[0, -1], made

    def _nothing(self, states: np.ndarray) -> np.ndarray:
        """No keys or values yet: (1, heads, 0, channels), 64 channels a head."""
        return np.zeros((1, states.shape[-1] // 64, 0, 64), np.float32)

    @cached_property
    def _pasts(self) -> list[str]:
        names = (entry.name for entry in self.decoder.get_inputs())
        return [name for name in names if name.startswith("past_key_values")]

    @cached_property
    def encoder(self) -> Any:
        return _session(self.folder / "onnx" / "encoder_model_quantized.onnx")

    @cached_property
    def decoder(self) -> Any:
        return _session(self.folder / "onnx" / "decoder_model_merged_quantized.onnx")

    @cached_property
    def tokenizer(self) -> Any:
        return judge("tokenizers").Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    @cached_property
    def never(self) -> list[int]:
        """Tokens that are not said: signs that nobody sings, and time stamps."""
        stamps = range(PROMPT[-1], self.tokenizer.get_vocab_size())
        return [*self._settings["suppress_tokens"], *stamps]

    @cached_property
    def never_first(self) -> list[int]:
        return [*self.never, *self._settings["begin_suppress_tokens"]]

    @cached_property
    def _settings(self) -> dict[str, Any]:
        text = (self.folder / "generation_config.json").read_text(encoding="utf-8")
        settings: dict[str, Any] = json.loads(text)
        return settings

    @cached_property
    def filters(self) -> torch.Tensor:
        """From a spectrum to mel bands: (80, 201)."""
        mel = judge("librosa").filters.mel(sr=RATE, n_fft=WINDOW, n_mels=MELS)
        return torch.from_numpy(mel)


def _session(path: Path) -> Any:
    """A network on the CPU, on as many threads as torch takes."""
    runtime = judge("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def log_mel(sound: Audio, filters: torch.Tensor) -> torch.Tensor:
    """What Whisper hears: 30 seconds of mono audio as (80, 3000), padded with silence."""
    padded = torch.zeros(RATE * SECONDS)
    length = min(len(sound), len(padded))
    padded[:length] = torch.from_numpy(sound[:length])
    window = torch.hann_window(WINDOW)
    spectrum = torch.stft(padded, WINDOW, HOP, window=window, return_complex=True)
    power = spectrum[:, :-1].abs().square()  # (201, 3000)
    loud = (filters @ power).clamp_min(1e-10).log10()
    return (loud.clamp_min(float(loud.max()) - 8.0) + 4.0) / 4.0
