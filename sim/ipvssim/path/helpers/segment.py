"""A TCP segment as connection tracking reads it (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1)."""

from __future__ import annotations

from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.packets import ACK, FIN, RST, SYN, TCP, Packet

E_SYN, E_SYN_ACK, E_FIN, E_ACK, E_RST, E_NONE = range(6)
"""What a segment is: the first that fits of RST, SYN (with ACK or without), FIN, ACK."""
_URG = 0x20
_FLAGS = ACK | FIN | RST | SYN | _URG
_SENSIBLE = frozenset((
    SYN, SYN | _URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | _URG, ACK, ACK | _URG,
))  # fmt: skip
_FULL = 1 << 32
_END, _NOP, _WINDOW_SCALE, _SACK_PERMITTED, _SACK = 0, 1, 3, 4, 5
_MOST_SCALE = 14
_from_bytes = int.from_bytes


class Segment:
    """``end`` is the sequence number behind it; ``sack`` the highest edge that it acknowledges, by SACK blocks too."""

    __slots__ = ("ack", "data", "end", "event", "flags", "sequence", "window")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.flags = flags = data[13]
        self.sequence = _from_bytes(data[4:8], "big")
        self.ack = _from_bytes(data[8:12], "big")
        self.window = _from_bytes(data[14:16], "big")
        self.end = (self.sequence + len(data) - (data[12] >> 4) * 4 + bool(flags & SYN) + bool(flags & FIN)) % _FULL
        if flags & RST:
            self.event = E_RST
        elif flags & SYN:
            self.event = E_SYN_ACK if flags & ACK else E_SYN
        elif flags & FIN:
            self.event = E_FIN
        else:
            self.event = E_ACK if flags & ACK else E_NONE

    @classmethod
    def of(cls, packet: Packet, *, checks: bool = True) -> Segment | None:
        """The packet's segment; None where it is cut off, has a wrong checksum, or flags that nobody sends together."""
        data = packet.data[packet.offset :]
        if len(data) < 20 or not 20 <= (data[12] >> 4) * 4 <= len(data):
            return None
        if checks and not is_valid(data, pseudo(packet.source, packet.destination, TCP, len(data))):
            return None
        return cls(data) if data[13] & _FLAGS in _SENSIBLE else None

    def options(self) -> list[tuple[int, bytes]]:
        """Its options, as far as they can be read."""
        found: list[tuple[int, bytes]] = []
        at, end = 20, (self.data[12] >> 4) * 4
        while at < end:
            kind = self.data[at]
            if kind == _END:
                break
            if kind == _NOP:
                at += 1
                continue
            if at + 1 >= end or self.data[at + 1] < 2 or at + self.data[at + 1] > end:
                break
            size = self.data[at + 1]
            found.append((kind, self.data[at + 2 : at + size]))
            at += size
        return found

    def offers(self) -> tuple[int | None, bool]:
        """What a SYN offers: the scale of its windows (None: none), and whether SACK is permitted."""
        scale, sack = None, False
        for kind, value in self.options():
            if kind == _WINDOW_SCALE and len(value) == 1:
                scale = min(value[0], _MOST_SCALE)
            elif kind == _SACK_PERMITTED and not value:
                sack = True
        return scale, sack

    def edges(self) -> list[int]:
        """The right edges of its SACK blocks."""
        for kind, value in self.options():
            if kind == _SACK and len(value) >= 8 and not len(value) % 8:
                return [_from_bytes(value[at + 4 : at + 8], "big") for at in range(0, len(value), 8)]
        return []
