"""Mutations of inputs from a seed, for where there is no fuzzer: the same seed makes the same inputs."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

LIKELY = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"-1", b"0", b"99999999999999999999", b"1e308", b"nan", b"\xc3", b"\xed\xa0\x80",
    b"\n", b" ", b"\t", b'"', b"{", b"}", b"[", b"]", b"#", b"\\", b"\x1b[31m", "\u0661".encode(), "\u2014".encode(),
)  # fmt: skip
"""Pieces that readers stumble over."""
WORD = re.compile(rb"[\w.:+-]+")
"""A word or a number of a text, an address, an option."""


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many inputs, each some changes away from one of the seeds."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            _change(data, chance, seeds)
        yield bytes(data)


def _change(data: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    end = min(at + chance.choice((1, 2, 4, 16, 64)), len(data))
    way = chance.randrange(8)
    if way == 0:
        del data[at:end]
    elif way == 1:
        data[at:at] = data[at:end]
    elif way == 2:
        data[at:end] = chance.choice(LIKELY)
    elif way == 3:
        data[at:at] = chance.choice(LIKELY)
    elif way == 4 and end > at:
        data[at] ^= 1 << chance.randrange(8)
    elif way == 5:
        other = chance.choice(seeds)
        begin = chance.randrange(len(other) + 1)
        data[at:end] = other[begin : begin + chance.randrange(1, 65)]
    elif way == 6:
        _replace_word(data, at, chance, seeds)
    else:
        del data[at:]


def _replace_word(data: bytearray, at: int, chance: random.Random, seeds: Sequence[bytes]) -> None:
    """The next word becomes one of another input, so that a text keeps its form."""
    other = chance.choice(seeds)
    word, new = WORD.search(data, at), WORD.search(other, chance.randrange(len(other) + 1))
    if word and new:
        data[word.start() : word.end()] = new[0][:64]
