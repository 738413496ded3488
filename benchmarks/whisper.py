"""Transcription of audio into words by Whisper small (Radford et al. 2022, arXiv 2212.04356).

English, up to 30 seconds, by greedy decoding without the tokens that Whisper suppresses. The
weights are ONNX files in 8 bits; `evaluators.txt` says where they come from.
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
from evaluators import import_evaluator

from jukebox_cli.audio.io import Audio, read_audio
from jukebox_cli.interfaces.errors import InputError

SAMPLE_RATE, MAX_SECONDS = 16000, 30
N_FFT, HOP_LENGTH, NUM_MELS = 400, 160, 80  # of the spectrogram, in samples and bands
#: Start of transcript, English, transcribe, no timestamps.
PROMPT = (50258, 50259, 50359, 50363)
END_OF_TEXT = 50257
#: More tokens than are sung in 30 seconds; ends transcripts that repeat themselves.
MAX_TOKENS = 200
#: SHA-256 of the weight files.
WEIGHTS = {
    "encoder_model_quantized.onnx": (
        "969f5ac12974340386bf7a02ea6626003e5e2dee396ffc6ab0eec282bf55ba06"
    ),
    "decoder_model_merged_quantized.onnx": (
        "fcfc6100dc7339e7507e10f8b274350be7c4f8d8b575f0293f94cc0e156d6d24"
    ),
}


def load_word_transcriber(folder: Path) -> Callable[[Path], str]:
    """A function from a recording to its words, with the weights in a folder."""
    require_weights(folder)
    whisper = Whisper(folder)

    def transcribe(path: Path) -> str:
        print(f"words of {path.name}", file=sys.stderr)
        return whisper.transcribe(read_audio(path, SAMPLE_RATE))

    return transcribe


def require_weights(folder: Path) -> None:
    """InputError if files are missing or are not those that published figures were made with."""
    hint = "name the folder of Whisper small with --whisper; see benchmarks/evaluators.txt"
    for name in ("tokenizer.json", "generation_config.json"):
        if not (folder / name).is_file():
            raise InputError(f"no file {folder / name}", hint)
    for name, digest in WEIGHTS.items():
        path = folder / "onnx" / name
        if not path.is_file():
            raise InputError(f"no file {path}", hint)
        if sha256(path.read_bytes()).hexdigest() != digest:
            raise InputError(f"{path} has other weights than expected", hint)


@dataclass(frozen=True)
class Whisper:
    """The encoder, the decoder and the tokenizer in a folder."""

    folder: Path

    def transcribe(self, samples: Audio) -> str:
        """The words in up to 30 seconds of mono audio at 16 kHz."""
        features = log_mel(samples, self.filterbank)[None].numpy()  # (1, 80, 3000)
        (states,) = self.encoder.run(["last_hidden_state"], {"input_features": features})
        text: str = self.tokenizer.decode(self._tokens(states), skip_special_tokens=True)
        return text.strip()

    def _tokens(self, states: np.ndarray) -> list[int]:
        """The tokens that the decoder generates from encoder states (1, 1500, W)."""
        tokens: list[int] = []
        cache = {name: self._empty_cache(states) for name in self._cache_names}
        new: Sequence[int] = PROMPT
        while len(tokens) < MAX_TOKENS:
            logits, cache = self._step(states, new, cache, bool(tokens))
            logits[self.suppressed if tokens else self.suppressed_at_first] = -np.inf
            token = int(logits.argmax())
            if token == END_OF_TEXT:
                break
            tokens.append(token)
            new = (token,)
        return tokens

    def _step(
        self, states: np.ndarray, new: Sequence[int], cache: dict[str, np.ndarray], cached: bool
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Logits (V,) after the new tokens, and the KV cache with them."""
        inputs = {"input_ids": np.array([new]), "encoder_hidden_states": states, **cache}
        inputs["use_cache_branch"] = np.array([cached])
        outputs = [name.replace("past_key_values", "present") for name in self._cache_names]
        logits, *present = self.decoder.run(["logits", *outputs], inputs)
        updated = dict(zip(self._cache_names, present, strict=True))
        if cached:  # the model returns the encoder's keys and values only at the first step
            updated |= {name: old for name, old in cache.items() if ".encoder." in name}
        return logits[0, -1], updated

    def _empty_cache(self, states: np.ndarray) -> np.ndarray:
        """Keys or values of no tokens: (1, heads, 0, channels), with 64 channels per head."""
        return np.zeros((1, states.shape[-1] // 64, 0, 64), np.float32)

    @cached_property
    def _cache_names(self) -> list[str]:
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
        return import_evaluator("tokenizers").Tokenizer.from_file(
            str(self.folder / "tokenizer.json")
        )

    @cached_property
    def suppressed(self) -> list[int]:
        """Tokens that are never generated: symbols that are not spoken, and timestamps."""
        timestamps = range(PROMPT[-1], self.tokenizer.get_vocab_size())
        return [*self._settings["suppress_tokens"], *timestamps]

    @cached_property
    def suppressed_at_first(self) -> list[int]:
        return [*self.suppressed, *self._settings["begin_suppress_tokens"]]

    @cached_property
    def _settings(self) -> dict[str, Any]:
        text = (self.folder / "generation_config.json").read_text(encoding="utf-8")
        settings: dict[str, Any] = json.loads(text)
        return settings

    @cached_property
    def filterbank(self) -> torch.Tensor:
        """The mel filterbank (80, 201)."""
        mel = import_evaluator("librosa").filters.mel
        return torch.from_numpy(mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=NUM_MELS))


def _session(path: Path) -> Any:
    """A network on the CPU, with as many threads as torch has."""
    runtime = import_evaluator("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def log_mel(samples: Audio, filterbank: torch.Tensor) -> torch.Tensor:
    """Whisper's input (80, 3000): the log-mel spectrogram of 30 seconds, padded with silence."""
    padded = torch.zeros(SAMPLE_RATE * MAX_SECONDS)
    length = min(len(samples), len(padded))
    padded[:length] = torch.from_numpy(samples[:length])
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(padded, N_FFT, HOP_LENGTH, window=window, return_complex=True)
    power = spectrum[:, :-1].abs().square()  # (201, 3000)
    log_power = (filterbank @ power).clamp_min(1e-10).log10()
    return (log_power.clamp_min(float(log_power.max()) - 8.0) + 4.0) / 4.0
