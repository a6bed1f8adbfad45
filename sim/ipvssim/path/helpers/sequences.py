"""Sequence numbers of a stream whose length a rewriting changed (net/netfilter/nf_conntrack_seqadj.c, Linux 6.1).

ip_vs_app.c has an adjustment of its own, in_seq and out_seq. ip_vs_ftp leaves it alone (it reports no difference in length,
``*diff = 0``): the rewriting is netfilter's, and so is the adjustment.
"""

from __future__ import annotations

from ipvssim.net.checksums import total

_HALF, _FULL = 1 << 31, 1 << 32
_ACK = 0x10
_END, _NOP, _SACK = 0, 1, 5
_from_bytes = int.from_bytes


def after(one: int, other: int) -> bool:
    """Whether a sequence number stands behind another (``after``, include/net/tcp.h)."""
    return 0 < (one - other) % _FULL < _HALF


class Shift:
    """What was added to one direction's stream: ``before`` up to the place of the last rewriting, ``behind`` after it."""

    __slots__ = ("before", "behind", "place")

    def __init__(self) -> None:
        self.place = self.before = self.behind = 0

    def grow(self, sequence: int, difference: int) -> None:
        """The segment at that sequence number became longer (or shorter). One that is rewritten again changes nothing."""
        if self.before == self.behind or after(sequence, self.place):
            self.place = sequence
            self.before = self.behind
            self.behind += difference

    def of(self, sequence: int) -> int:
        """What is added to a sequence number of the sender's."""
        return self.behind if after(sequence, self.place) else self.before

    def back(self, number: int) -> int:
        """What is taken from a number of the receiver's, an acknowledgement or the edge of a SACK block."""
        return self.behind if after((number - self.before) % _FULL, self.place) else self.before


def adjusted(data: bytes, offset: int, own: Shift, other: Shift) -> bytes | None:
    """An IP packet with its TCP header's sequence numbers moved; ``own`` is its direction's shift. None: it has options that
    can't be read, and is dropped."""
    segment = bytearray(data[offset:])
    old = total(bytes(segment[4:12]))
    sequence = _from_bytes(segment[4:8], "big")
    segment[4:8] = _moved(sequence, own.of(sequence))
    if segment[13] & _ACK:
        number = _from_bytes(segment[8:12], "big")
        segment[8:12] = _moved(number, -other.back(number))
    change = total(bytes(segment[4:12])) - old
    if segment[13] & _ACK:
        moved = _sack(segment, other)
        if moved is None:
            return None
        change += moved
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
