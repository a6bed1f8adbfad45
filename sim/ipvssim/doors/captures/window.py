"""A stream of which what lies ahead can be looked at: the pieces of a file as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

PIECE = 1 << 21
"""Bytes that are asked for at once."""


class Window:
    """A stream's bytes. ``ahead`` are those that came and were not taken yet. ``at_once`` is how many it is asked for at
    once, where that is not a piece."""

    def __init__(self, stream: BinaryIO, at_once: int = 0) -> None:
        self.ahead = b""
        self._stream = stream
        self._at_once = at_once
        self._some: Callable[[int], bytes] | None = getattr(stream, "read1", None)
        self._wrong: Exception | None = None

    def read(self, size: int) -> bytes:
        """So many bytes, or what there is up to the end; waits for them."""
        taken, self.ahead = self.ahead[:size], self.ahead[size:]
        if len(taken) == size:
            return taken
        if self._wrong is not None:
            raise self._wrong
        return taken + self._stream.read(size - len(taken))

    def fill(self) -> bool:
        """Take in some more, waiting for the first of them only; False where there is no more just now but by :meth:`read`:
        at the end, and where the stream is wrong."""
        if self._some is None or self._wrong is not None:
            return False
        pieces: list[bytes] = []
        size = 0
        try:
            while size < PIECE and (piece := self._some(self._at_once or PIECE)):
                pieces.append(piece)
                size += len(piece)
                if not self._at_once:
                    break
        except Exception as wrong:  # what came before it is read first
            self._wrong = wrong
        self.ahead = b"".join((self.ahead, *pieces))
        return bool(pieces)
