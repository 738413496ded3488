"""The compiled kernels: which there are, and their exponential function."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from jukebox_cli.engine import library
from support.engines import each_kernels, needs_native_engine
from support.results import refusal


@pytest.mark.usefixtures("no_native_engine")
def test_without_the_library_there_are_no_kernels() -> None:
    assert library.load() is None
    assert library.kernel_names() == ()
    assert library.chosen_kernels() is None
    assert not library.has_fast_kernels()
    with pytest.raises(AssertionError, match="the native engine is not installed"):
        library.function("exp")


@needs_native_engine
def test_plain_kernels_run_on_every_cpu() -> None:
    names = library.kernel_names()
    assert names[-1] == "plain"
    assert set(names) <= {"avx512", "avx2", "neon", "plain"}
    assert len(set(names)) == len(names)


@needs_native_engine
def test_the_fastest_kernels_are_chosen_unless_the_environment_names_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = library.kernel_names()
    assert library.chosen_kernels() == names[0]
    assert library.has_fast_kernels() == (len(names) > 1)
    for name in names:
        monkeypatch.setenv(library.KERNELS_VARIABLE, name)
        assert library.chosen_kernels() == name
        assert library.has_fast_kernels() == (name != "plain")
    monkeypatch.setenv(library.KERNELS_VARIABLE, "sse9")
    error = "JUKEBOX_KERNELS: no kernels 'sse9' for this CPU"
    assert refusal(library.chosen_kernels) == (error, f"known are: {', '.join(names)}")


def exponential(x: np.ndarray, kernels: str) -> np.ndarray:
    """e^x in fp32, by the kernels."""
    padded = np.zeros(-(-len(x) // 16) * 16, np.float32)
    padded[: len(x)] = x
    result = np.empty_like(padded)
    pointers = (padded.ctypes.data, result.ctypes.data)
    assert library.function("exp")(kernels.encode(), *pointers, len(padded))
    return result[: len(x)]


#: Evenly spaced numbers, all floats near 0 of a kind, and both ends.
NUMBERS = np.concatenate(
    [
        np.linspace(-87, 88, 2_000_003),
        np.log(2) * (np.arange(-125, 127) + 0.5),  # where the reduction changes
        np.nextafter(np.float32(-87), np.float32(0), dtype=np.float32)[None],
        *(sign * 2.0 ** np.arange(-149, 7) for sign in (-1, 1)),
    ]
).astype(np.float32)
NUMBERS = NUMBERS[(NUMBERS >= -87) & (NUMBERS <= 88)]


@each_kernels
def test_the_exponential_is_off_by_at_most_2_units_in_the_last_place(kernels: str) -> None:
    exact = np.exp(NUMBERS.astype(np.float64))
    unit = np.spacing(exact.astype(np.float32)).astype(np.float64)
    error = np.abs(exponential(NUMBERS, kernels) - exact) / unit
    assert error.max() < 2


@each_kernels
def test_all_kernels_have_the_same_exponential(kernels: str) -> None:
    result = exponential(NUMBERS, kernels)
    np.testing.assert_array_equal(result, exponential(NUMBERS, "plain"))


@each_kernels
def test_the_exponential_at_the_ends(kernels: str) -> None:
    below = np.nextafter(np.float32(-87), np.float32(-100), dtype=np.float32)
    x = np.array([np.nan, -np.inf, -1e30, -88, below, 0, -0.0, 88, 1000, np.inf], np.float32)
    result = exponential(x, kernels)
    assert np.isnan(result[0])
    assert result[1:5].tolist() == [0] * 4
    assert result[5:7].tolist() == [1] * 2
    assert result[7:].tolist() == [result[7]] * 3  # it is bounded, so that a sum stays finite
    assert 1.6e38 < result[7] < np.inf


@needs_native_engine
def test_unknown_kernels_are_an_error() -> None:
    x = np.zeros(16, np.float32)
    assert not library.function("exp")(b"sse9", x.ctypes.data, x.ctypes.data, 16)
    assert library.function("read")(b"sse9", x.ctypes.data, 16, 1) == -1
    no_layers = (ctypes.c_int32 * 0)()
    assert library.function("model_new")(library.Config(), no_layers, 0, b"sse9", 1) is None


@each_kernels
def test_memory_is_read_by_several_threads(kernels: str) -> None:
    x = np.ones(16 * 8 * 4 * 5, np.float32)
    for num_threads in (1, 2, 4):
        total = library.function("read")(kernels.encode(), x.ctypes.data, len(x), num_threads)
        assert total == len(x)


# no memory: sizes that no address space has

HUGE = 2**30
Model = Callable[..., int]


@pytest.fixture
def new_model() -> Iterator[Model]:
    """Makes a model with one layer of dense attention and of the given sizes."""
    made: list[int] = []

    def make(**sizes: int) -> int:
        names = ("width", "depth", "heads", "head_dim", "mlp_width", "rows", "columns")
        config = library.Config(**{**dict.fromkeys(names, 1), "codebook_size": 1, **sizes})
        dense = (ctypes.c_int32 * 1)(3)
        made.append(library.function("model_new")(config, dense, 0, b"plain", 1))
        return made[-1]

    yield make
    for each in made:
        library.function("model_free")(each)


@needs_native_engine
def test_weights_without_room_are_reported(new_model: Model) -> None:
    model = new_model(width=HUGE, codebook_size=HUGE)
    source = library.Source(None, 0, 1, 1)
    linear = (model, -1, b"output", HUGE, HUGE, source, None)
    assert not library.function("model_set_linear")(*linear)
    assert not library.function("model_set_embeddings")(model, None, None)


@needs_native_engine
def test_a_window_without_room_is_reported(new_model: Model) -> None:
    model = new_model(rows=2**15, columns=2**15)
    nothing = (None, None, 0, None, None, 0, None, None, None)
    assert library.function("window_new")(model, 2**20, *nothing) is None


def test_no_result_is_a_memory_error() -> None:
    assert library.require_memory(7) == 7
    for result in (None, 0):
        with pytest.raises(MemoryError, match="the native engine has no memory left"):
            library.require_memory(result)
