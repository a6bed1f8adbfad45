"""What holds for every reader of bytes that come from outside, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import process_time
from typing import NamedTuple

from ipvsnl.text import values

SECONDS = 5.0
"""Of processor time that an input of a few thousand bytes may take; most take less than a millisecond."""


class Reader(NamedTuple):
    """One reader: ``read`` takes an input to it, ``wrong`` are its typed errors, ``seeds`` makes inputs to begin from."""

    name: str
    read: Callable[[bytes], object]
    wrong: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]


def law(reader: Reader, data: bytes) -> Exception | None:
    """One input to one reader: its typed error, if it was refused.

    AssertionError, or the exception that goes through, where the law is broken.
    """
    refused: Exception | None = None
    began = process_time()
    try:
        reader.read(data)
    except reader.wrong as wrong:
        refused = wrong
        assert str(wrong).strip(), f"{reader.name}: an error without words: {wrong!r}"
    took = process_time() - began
    assert took < SECONDS, f"{reader.name}: {took:.1f} s for {len(data)} bytes"
    return refused


def quiet() -> None:
    """Ask no name server, whatever names an input has."""

    def unknown(name: str) -> str:
        raise ValueError(name)

    values._resolve = unknown
