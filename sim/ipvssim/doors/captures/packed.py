"""Captures that were compressed, read as they are: gzip, xz, bzip2, in memory that does not grow with them."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import BinaryIO

_MODULES = {b"\x1f\x8b": "gzip", b"\xfd\x37": "lzma", b"\x42\x5a": "bz2"}
"""The first two bytes of a file to the module of Python that reads it; it is imported when one is met."""
_PIECE = 1 << 16


class Packed(io.RawIOBase):
    """A compressed stream whose first bytes were read already; ``position`` is how many of its bytes were taken."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.position = 0
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        """Yes: ``io`` asks."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The head first, then what follows."""
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)

    def unpacked(self) -> BinaryIO:
        """What was compressed."""
        opened: Callable[[io.BufferedReader], BinaryIO] = import_module(_MODULES[self._head[:2]]).open
        return opened(io.BufferedReader(self, _PIECE))


def is_packed(head: bytes) -> bool:
    """Whether a file that begins so is one that :class:`Packed` reads."""
    return head[:2] in _MODULES


def damage() -> tuple[type[Exception], ...]:
    """What the modules raise where compressed bytes are wrong or end too soon."""
    from lzma import LZMAError
    from zlib import error

    return LZMAError, error, EOFError
