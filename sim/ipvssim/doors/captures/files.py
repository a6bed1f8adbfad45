"""Reads capture files as streams: classic pcap in both byte orders and both units of time, and pcapng; compressed, too.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. One packet is in memory at a time. Whatever the bytes are,
there are frames, or one :class:`CaptureError` that names the file, the packet and the cause.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from ipvssim.clock import SECOND
from ipvssim.doors.captures.frame import CaptureError, Frame, Plain
from ipvssim.doors.captures.interfaces import Block, Interface, described, options
from ipvssim.doors.captures.order import ordered
from ipvssim.doors.captures.packed import Packed, damage, is_packed
from ipvssim.doors.captures.window import Window

STANDARD_INPUT = "-"
LONGEST = 262144
"""Bytes of the longest packet that libpcap writes; more is damage."""
_CLASSIC = {
    b"\xa1\xb2\xc3\xd4": (">", 1, 16), b"\xd4\xc3\xb2\xa1": ("<", 1, 16),
    b"\xa1\xb2\x3c\x4d": (">", 1000, 16), b"\x4d\x3c\xb2\xa1": ("<", 1000, 16),
    b"\xa1\xb2\xcd\x34": (">", 1, 24), b"\x34\xcd\xb2\xa1": ("<", 1, 24),
}  # fmt: skip
"""The first four bytes to (byte order, parts of a microsecond, bytes of a record's header)."""
_NEW_SECTION = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 1, 2, 3, 6
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_COMPRESSED = {b"\x28\xb5": "zstd -dc", b"\x04\x22": "lz4 -dc"}
"""What Python has no module for; the others are read (:mod:`ipvssim.doors.captures.packed`)."""
_PIECE = 1 << 16
_UNPACKED = 1 << 13
"""Bytes that are unpacked at once: as many as the module of Python keeps ready, so that all that is good before damage
comes."""
_PACKET_FLAGS = 2
_NANO, _FAR = 1000, 1 << 40
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def opened(path: Path) -> BinaryIO:
    """A file, pipe or standard input ("-") to read from. OSError where it can't be opened, or is nothing that ends; a FIFO
    that nobody writes to is empty: it is not waited for."""
    if str(path) == STANDARD_INPUT:
        if sys.stdin is None or sys.stdin.isatty():
            raise CaptureError("-: standard input is closed, or a terminal: nothing to read")
        return sys.stdin.buffer
    handle = os.open(path, os.O_RDONLY | _NO_WAIT)
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.close(handle)
        raise IsADirectoryError(21, "a directory, and no file", str(path))
    os.set_blocking(handle, True)
    return open(handle, "rb")  # noqa: PTH123


def check_distinct(source: Path, target: Path) -> None:
    """CaptureError where both are one file, whatever it is called: by links, by another spelling, as standard input."""
    try:
        there = target.stat()
        here = os.fstat(0) if str(source) == STANDARD_INPUT else source.stat()
    except OSError:  # one of them is not there
        return
    if os.path.samestat(here, there):
        raise CaptureError(f"{target}: it is what is read: {source}")


class Reader:
    """The frames of one stream; ``name`` is what errors call it. ``number`` is that of the last packet. The
    beginning is read at once: CaptureError where it is no capture."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.number = self._position = 0
        self._stream = Window(stream)
        self._name = name
        self._packed: Packed | None = None
        self._plain: Plain | None = None
        self._last = 0
        magic = self._read(4)
        if is_packed(magic):
            self._packed = Packed(magic, stream)
            self._stream = Window(self._packed.unpacked(), _UNPACKED)
            magic = self._read(4)
        if not magic:
            raise CaptureError(f"{name}: empty, and no capture")
        if magic in _CLASSIC:
            self._frames = self._classic(*_CLASSIC[magic])
        elif magic == _NEW_SECTION:
            self._interfaces: list[Interface] = []
            self._order = self._section()
            self._frames = ordered(self._blocks(), lambda: len(self._interfaces) > 1)
        else:
            hint = _COMPRESSED.get(magic[:2])
            advice = f": compressed? {hint} {name} | ipvssim pcap RULES -" if hint else ""
            raise CaptureError(f"{name}: neither pcap nor pcapng{advice}")

    @property
    def position(self) -> int:
        """How many bytes of the file were read, compressed ones where it is compressed."""
        return self._packed.position if self._packed is not None else self._position

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    # --- many at once ---

    @property
    def window(self) -> Window:
        """The bytes that are read."""
        return self._stream

    def plain(self) -> Plain | None:
        """How the records that follow can be read until one is of another kind; None where they can't."""
        if self._plain is not None or not self.number or len(self._interfaces) != 1:
            return self._plain
        (interface,) = self._interfaces
        parts, rest = divmod(interface.ticks, SECOND)
        if rest or not 0 < parts <= _NANO or abs(interface.offset) > _FAR:
            return None
        name = interface.name or "0"
        return Plain(self._order, True, 0, parts, interface.link, interface.offset * SECOND, name)

    def passed(self, count: int, size: int, last: int) -> None:
        """So many packets, in so many bytes of what lies ahead, were read; the last one's time."""
        self.number += count
        self._position += size
        self._last = last
        self._stream.ahead = self._stream.ahead[size:]

    def wrong(self, cause: str, number: int = 0) -> CaptureError:
        """An error about the packet of that number; 0 is the one that is being read."""
        return CaptureError(f"{self._name}: packet {number or self.number}: {cause}")

    # --- classic ---

    def _classic(self, order: str, parts: int, head: int) -> Iterator[Frame]:
        header = self._read(20)
        if len(header) < 20:
            raise CaptureError(f"{self._name}: the file ends in its header")
        major, _, _, _, _, link = Struct(order + "HHiIII").unpack(header)
        if major != 2:
            raise CaptureError(f"{self._name}: version {major} of pcap is unknown")
        link &= 0xFFFF  # above: checksums behind frames
        self._plain = Plain(order, False, head, parts, link, 0, "")
        return self._records(Struct(order + "IIII"), parts, head, link)

    def _records(self, record: Struct, parts: int, head: int, link: int) -> Iterator[Frame]:
        while header := self._read(head):
            self.number += 1
            if len(header) < head:
                raise self.wrong("the file ends within it")
            seconds, fraction, kept, size = record.unpack_from(header)
            yield Frame(self.number, seconds * SECOND + fraction // parts, link, self._packet(kept), size)

    def _packet(self, kept: int) -> bytes:
        if kept > LONGEST:
            raise self.wrong(f"{kept} bytes long: the file is damaged")
        data = self._read(kept)
        if len(data) < kept:
            raise self.wrong("the file ends within it")
        return data

    # --- pcapng ---

    def _blocks(self) -> Iterator[Frame]:
        while kind := self._read(4):
            if kind == _NEW_SECTION:
                self._order = self._section()
                self._interfaces = []
                continue
            if len(kind) < 4:
                raise self.wrong_after("the file ends within a block")
            block = self._block(self._order, kind)
            if block.kind == _INTERFACE:
                interface = described(block)
                if interface is None:
                    raise self.wrong_after("a damaged description of an interface")
                self._interfaces.append(interface)
            elif block.kind in (_PACKET, _SIMPLE, _ENHANCED):
                self.number += 1
                frame = self._from_block(block, self._interfaces, self._last)
                self._last = frame.when
                yield frame

    def wrong_after(self, cause: str) -> CaptureError:
        """An error about what follows the last packet."""
        return CaptureError(f"{self._name}: after packet {self.number}: {cause}")

    def _section(self) -> str:
        head = self._read(8)
        order = _ORDERS.get(head[4:])
        if len(head) < 8 or order is None:
            raise self.wrong_after("a damaged section header")
        self._rest(order, head[:4], 12)
        return order

    def _block(self, order: str, kind: bytes) -> Block:
        head = self._read(4)
        number = Struct(order + "I").unpack(kind)[0]
        wanted = number in (_INTERFACE, _PACKET, _SIMPLE, _ENHANCED)
        return Block(order, number, self._rest(order, head, 8, keep=wanted))

    def _rest(self, order: str, length: bytes, had: int, *, keep: bool = False) -> bytes:
        """The body of a block of that length, of which ``had`` bytes were read; skipped unless it is to be kept."""
        if len(length) < 4:
            raise self.wrong_after("the file ends within a block")
        total = Struct(order + "I").unpack(length)[0]
        if total < had + 4 or total & 3 or (keep and total > LONGEST + _PIECE):
            raise self.wrong_after(f"a block of {total} bytes: the file is damaged")
        left, body = total - had - 4, b""
        if keep:
            body = self._read(left)
            left -= len(body)
        else:
            while left and (piece := self._read(min(left, _PIECE))):
                left -= len(piece)
        again = self._read(4)
        if left or len(again) < 4:
            raise self.wrong_after("the file ends within a block")
        if again != length:
            raise self.wrong_after("a block's two lengths differ: the file is damaged")
        return body

    def _from_block(self, block: Block, interfaces: list[Interface], last: int) -> Frame:
        order, kind, body = block
        head = 4 if kind == _SIMPLE else 20
        if len(body) < head:
            raise self.wrong("its block is too short")
        index = high = low = 0
        if kind == _SIMPLE:
            kept = size = Struct(order + "I").unpack_from(body)[0]
        elif kind == _ENHANCED:
            index, high, low, kept, size = Struct(order + "IIIII").unpack_from(body)
        else:
            index, _, high, low, kept, size = Struct(order + "HHIIII").unpack_from(body)
        if index >= len(interfaces):
            raise self.wrong(f"of interface {index}, which the file does not describe")
        interface = interfaces[index]
        if kind == _SIMPLE:  # it tells neither its time nor how much of it was kept
            kept = min(kept, interface.longest or kept, len(body) - head)
        if kept > len(body) - head:
            raise self.wrong(f"{kept} bytes long in a block of {len(body) + 12}: the file is damaged")
        direction, when = "", last
        if kind != _SIMPLE:
            when = (high << 32 | low) * SECOND // interface.ticks + interface.offset * SECOND
            for code, value in options(order, body, head + (kept + 3 & ~3)):
                if code == _PACKET_FLAGS and len(value) == 4:
                    direction = ("", "in", "out", "")[Struct(order + "I").unpack(value)[0] & 3]
        name = interface.name or str(index)
        return Frame(self.number, when, interface.link, body[head : head + kept], size, name, direction)

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except OSError as wrong:
            raise self.wrong_after(wrong.strerror or str(wrong)) from wrong
        except Exception as wrong:
            if self._packed is None or not isinstance(wrong, damage()):
                raise
            raise self.wrong_after(f"compressed, and damaged: {wrong}") from wrong
        self._position += len(data)
        return data


__all__ = ["LONGEST", "STANDARD_INPUT", "CaptureError", "Frame", "Reader", "check_distinct", "opened"]
