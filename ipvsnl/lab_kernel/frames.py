"""The frames in which the laboratory and its guest talk: a kind (one byte), a length (u32), a payload."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

HEADER = struct.Struct("!cI")


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame as bytes. ``kind`` is a single byte."""
    return HEADER.pack(kind, len(payload)) + payload


class Unframer:
    """Collects bytes, gives frames."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Take some bytes; the frames that are whole now, as kind and payload."""
        self.data += data
        while len(self.data) >= HEADER.size:
            kind, length = HEADER.unpack_from(self.data)
            if len(self.data) < HEADER.size + length:
                return
            payload = bytes(self.data[HEADER.size : HEADER.size + length])
            del self.data[: HEADER.size + length]
            yield kind, payload


def write_all(fd: int, data: bytes) -> None:
    """Write all of it to a descriptor that waits (a pipe takes a part at a time)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
