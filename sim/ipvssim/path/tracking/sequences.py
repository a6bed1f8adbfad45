"""Sequence numbers of a stream whose length a rewriting changed (net/netfilter/nf_conntrack_seqadj.c, Linux 6.1).

ip_vs_app.c has an adjustment of its own, in_seq and out_seq. ip_vs_ftp leaves it alone (it reports no difference in length,
``*diff = 0``): the rewriting is netfilter's, and so is the adjustment.
"""

from __future__ import annotations

from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.checksums import total, transport
from ipvssim.net.packets import ACK, TCP
from ipvssim.path.tracking.windows import before

_FULL: Final = 1 << 32
_END: Final = 0
_NOP: Final = 1
_SACK: Final = 5
_MANGLED_ZERO: Final = b"\xff\xff"
_from_bytes = int.from_bytes


@mypyc_attr(allow_interpreted_subclasses=True)
class Shift(Part):
    """What was added to one side's stream: ``until`` up to the place of the last rewriting, ``behind`` after it."""

    __slots__ = ("behind", "place", "until")

    def __init__(self) -> None:
        self.place = self.until = self.behind = 0

    def grow(self, sequence: int, difference: int) -> None:
        """The segment at that sequence number became longer (or shorter). One that is rewritten again changes nothing."""
        if self.until == self.behind or before(self.place, sequence):
            self.place = sequence
            self.until = self.behind
            self.behind += difference

    def of(self, sequence: int) -> int:
        """What is added to a sequence number of the sender's."""
        return self.behind if before(self.place, sequence) else self.until

    def back(self, number: int) -> int:
        """What is taken from a number of the receiver's, an acknowledgement or the edge of a SACK block."""
        return self.behind if before(self.place, number - self.until) else self.until


@mypyc_attr(allow_interpreted_subclasses=True)
class Shifts(Part):
    """Both sides' shifts of one entry. ``begun`` says that a length was changed once: every packet is looked at then."""

    __slots__ = ("begun", "sides")

    def __init__(self) -> None:
        self.sides = Shift(), Shift()
        self.begun = False

    def grow(self, side: int, sequence: int, difference: int) -> None:
        """A side's segment at that sequence number became so much longer."""
        self.sides[side].grow(sequence, difference)
        self.begun = True

    def adjusted(self, side: int, data: bytes, offset: int) -> bytes | None:
        """An IP packet of that side with the sequence numbers of its TCP header moved, its checksum with them. None: it has
        options that can't be read, and is dropped."""
        own, other = self.sides[side], self.sides[1 - side]
        segment = bytearray(data[offset:])
        old = total(bytes(segment[4:12]))
        sequence = _from_bytes(segment[4:8], "big")
        segment[4:8] = _moved(sequence, own.of(sequence))
        change = 0
        if segment[13] & ACK:
            number = _from_bytes(segment[8:12], "big")
            segment[8:12] = _moved(number, -other.back(number))
            moved = _sack(segment, other)
            if moved is None:
                return None
            change = moved
        change += total(bytes(segment[4:12])) - old
        check = _from_bytes(segment[16:18], "big")
        rest = (0xFFFF - check + change) % 0xFFFF
        segment[16:18] = (0xFFFF - rest if rest else check if not change % 0xFFFF else 0).to_bytes(2, "big")
        return data[:offset] + bytes(segment)


def _moved(number: int, shift: int) -> bytes:
    return ((number + shift) % _FULL).to_bytes(4, "big")


def _sack(segment: bytearray, other: Shift) -> int | None:
    """Move the edges of SACK blocks; what that adds to the segment's sum, None for options that can't be read."""
    at, end, change = 20, (segment[12] >> 4) * 4, 0
    while at < end:
        kind = segment[at]
        if kind == _END:
            break
        if kind == _NOP:
            at += 1
            continue
        if at + 1 == end or at + segment[at + 1] > end or segment[at + 1] < 2:
            return None
        size = segment[at + 1]
        if kind == _SACK and size >= 10 and not (size - 2) % 8:
            for edge in range(at + 2, at + size, 4):
                number = _from_bytes(segment[edge : edge + 4], "big")
                new = _moved(number, -other.back(number))
                difference = total(new) - total(bytes(segment[edge : edge + 4]))
                change += difference if edge % 2 == 0 else difference << 8
                segment[edge : edge + 4] = new
        at += size
    return change


def signed(data: bytes, offset: int) -> bytes:
    """An IP packet with its TCP checksum computed anew, as the device does for one whose payload was changed."""
    source, destination = (data[12:16], data[16:20]) if data[0] < 0x60 else (data[8:24], data[24:40])
    segment = data[offset : offset + 16] + b"\0\0" + data[offset + 18 :]
    check = transport(source, destination, TCP, segment).to_bytes(2, "big")
    return data[: offset + 16] + (check if any(check) else _MANGLED_ZERO) + data[offset + 18 :]
