"""Records of a capture file, many at once (records.c): a piece of a file's bytes in, packets and their times out."""

from __future__ import annotations

from array import array
from typing import Any, Final

from ipvssim.lane.batch import Batch, Packed
from ipvssim.lane.native import ffi, lib

_ROWS: Final = 1 << 15
_PACKETS: Final = 1 << 22
_RECORD_HEAD: Final = 30
"""What is written before a packet that left, at most: a record's header, and that of Ethernet."""
LINKS: Final = {0: 0, 1: 1, 12: 101, 14: 101, 101: 101, 108: 108, 113: 113, 228: 101, 229: 101, 276: 276}
"""The link types that are read, and as which."""


class Records:
    """Room for records. ``began`` is the clock's time at the first one."""

    def __init__(self, began: int) -> None:
        self.file = ffi.new("struct capture_file *")
        self.file.began = began
        self.block = ffi.new("struct capture_block *")
        self.rows = ffi.new("struct capture_row[]", _ROWS)
        self._times = array("q", bytes(8 * _ROWS))
        self._offsets = array("q", bytes(8 * (_ROWS + 1)))
        self._packets = bytearray(_PACKETS)
        self._raw: Any = None
        block = self.block
        block.rows, block.room, block.packet_room = self.rows, _ROWS, _PACKETS
        block.times, block.offsets = (
            ffi.from_buffer("int64_t[]", self._times),
            ffi.from_buffer("int64_t[]", self._offsets),
        )
        block.packets = ffi.from_buffer("uint8_t[]", self._packets)

    def alike(self, order: str, *, blocks: bool, head: int, parts: int, link: int, offset: int, interface: int) -> None:
        """How the records are that follow."""
        file = self.file
        file.big, file.blocks, file.head, file.parts = order == ">", blocks, head, parts
        file.link, file.offset, file.interface = LINKS[link], offset, interface

    def read(self, raw: bytes, at: int) -> bool:
        """Read on in some bytes, from ``at``; whether it stopped at what is no plain record (else: where they end, or its
        room does). :attr:`count` records were read, up to :attr:`at`."""
        block = self.block
        self._raw = ffi.from_buffer("uint8_t[]", raw)
        block.raw, block.size, block.at = self._raw, len(raw), at
        return bool(lib.capture_read(self.file, block) == lib.CAPTURE_OTHER)

    @property
    def count(self) -> int:
        """How many records there are."""
        return int(self.block.count)

    @property
    def at(self) -> int:
        """Where the bytes end that were read."""
        return int(self.block.at)

    @property
    def packed(self) -> Packed:
        """Their packets, empty where they have no plain one."""
        count = self.count
        return Packed(memoryview(self._packets)[: self._offsets[count]], memoryview(self._offsets)[: count + 1])

    @property
    def times(self) -> memoryview:
        """When they come, by the clock."""
        return memoryview(self._times)[: self.count]

    def written(self, batch: Batch, bare: list[bool]) -> memoryview:
        """What left, as records of a pcap file; ``bare``: by device, whether it has no Ethernet header."""
        state = ffi.new("struct lane_batch *")
        state.count = len(batch)
        columns = (
            ("out", "uint8_t", batch.data), ("left", "int64_t", batch.left), ("ends", "int64_t", batch.ends),
            ("devices", "uint16_t", batch.by),
        )  # fmt: skip
        views = [ffi.from_buffer(f"{kind}[]", column) for _, kind, column in columns]
        for (name, _, _), view in zip(columns, views, strict=True):
            setattr(state, name, view)
        room = bytearray(len(batch.data) + _RECORD_HEAD * len(batch.ends))
        size = lib.capture_write(state, self.rows, bytes(bare) or b"\0", ffi.from_buffer("uint8_t[]", room))
        return memoryview(room)[:size]
