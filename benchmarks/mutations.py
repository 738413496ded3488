"""Files made wrong: bits flipped, ends cut off, blocks repeated, numbers and words replaced.

A mutation is a pure function of the data and of a random generator, so an input is known by the
number that seeds it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

#: Numbers at the ends of what formats can say, in texts.
NUMBERS: tuple[bytes, ...] = (
    *(b"0", b"-1", b"1", b"255", b"256", b"65536", b"2147483648", b"4294967296", b"1e999"),
    *(b"9223372036854775808", b"-9223372036854775809", b"0.5", b"-0.0", b"1e-320", b"NaN"),
    *(b"Infinity", b".inf", b"1" * 30, b"9" * 5000, b"0x10", b"1_000", b"true", b"null", b'""'),
)

#: The same, in bytes.
INTEGERS: tuple[bytes, ...] = tuple(
    (value % 2 ** (8 * size)).to_bytes(size, order)
    for value in (0, 1, -1, 2**7, 2**15, 2**31 - 1, 2**31, 2**62)
    for size in (1, 2, 4, 8)
    for order in ("little", "big")
)

#: Words with a meaning in some format.
WORDS: tuple[bytes, ...] = (
    *(b'"', b"'", b"{", b"}", b"[", b"]", b":", b",", b"\n", b"\0", b"\xff", b"\xed\xa0\x80"),
    *(b"&a [*a]", b"!!python/object/apply:os.system [ls]", b"? [1]\n: 2", b"<<: *a", b"%YAML"),
    *(b"[" * 2000, b'{"a":' * 2000, b"../" * 20, b"/etc/passwd", b"[99:99.99]", b"[offset:1e9]"),
    *("\u2028".encode(), "\U0001f600".encode(), b"\r", b"\xef\xbb\xbf", b"- ", b"# ", b"---\n"),
)

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Data after one to three mutations; `others` is what parts of are spliced in."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(MUTATIONS)(data, rng.choice(others), rng)
    return data


def flip_bit(data: bytes, other: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_bytes(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    new = rng.randbytes(min(rng.choice((1, 2, 4, 16)), max(0, len(data) - start)))
    return data[:start] + new + data[start + len(new) :]


def truncate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def delete_block(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, end = _block(data, rng)
    return data[:start] + data[end:]


def repeat_block(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, end = _block(data, rng)
    times = rng.choice((2, 3, 50))
    return data[:start] + data[start:end] * times + data[end:]


def move_block(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, end = _block(data, rng)
    rest = data[:start] + data[end:]
    place = _place(rest, rng)
    return rest[:place] + data[start:end] + rest[place:]


def splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def insert_bytes(data: bytes, other: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.randbytes(rng.choice((1, 2, 8, 300))) + data[place:]


def insert_word(data: bytes, other: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.choice(WORDS) + data[place:]


def replace_number(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Another number in the place of one that is written in digits."""
    found = list(_NUMBER.finditer(data[:200_000]))
    if not found:
        return replace_integer(data, other, rng)
    number = rng.choice(found)
    return data[: number.start()] + rng.choice(NUMBERS) + data[number.end() :]


def replace_integer(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """An integer of 1 to 8 bytes in the place of others."""
    place, integer = _place(data, rng), rng.choice(INTEGERS)
    return data[:place] + integer + data[place + len(integer) :]


def random_bytes(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 8, 100, 3000)))


Mutation = Callable[[bytes, bytes, random.Random], bytes]

MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bit, flip_bit, set_bytes, truncate, delete_block, repeat_block, move_block, splice),
    *(insert_bytes, insert_word, replace_number, replace_number, replace_integer, random_bytes),
)


def _place(data: bytes, rng: random.Random) -> int:
    """A place in data, more often near its beginning, where headers are."""
    end = len(data) if rng.random() < 0.6 else min(len(data), 256)
    return rng.randrange(end) if end else 0


def _block(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + rng.choice((1, 2, 4, 30, 300)))
