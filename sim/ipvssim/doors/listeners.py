"""Programs that listen on the director's own host, as far as a trace needs them: they take, and never say a word.

A port of TCP on which one listens answers a first SYN with a SYN|ACK, which passes the director's hooks as any reply does
(``tcp_v4_rcv`` and ``tcp_v6_rcv`` of a socket in LISTEN, Linux 6.1). What its TCP says later depends on numbers that it
draws, so a trace sends nothing that would ask for it. Where nobody listens the director itself knows what the host answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack
from typing import TYPE_CHECKING

from ipvsnl.consts import PROTOCOLS
from ipvssim.net.checksums import is_valid, pseudo, transport
from ipvssim.net.packets import ACK, FIN, RST, SYN, TCP, sign4
from ipvssim.path.connections import MASQUERADE

if TYPE_CHECKING:
    from ipvssim.path.director import Director
    from ipvssim.path.result import Result

_FLAGS, _HEADER = 13, 20
_MSS = b"\x02\x04\x05\xb4"


class Listeners:
    """The open ports of one director: ``places`` are pairs as ``["tcp", 80]``."""

    def __init__(self, places: Iterable[tuple[str, int]], director: Director) -> None:
        self._director = director
        self._open = {(PROTOCOLS[name], port) for name, port in places}
        director.network.listens = lambda protocol, port: (protocol, port) in self._open

    def answer(self, result: Result) -> None:
        """Say what a program's socket says to a packet that the host was handed, if it says anything."""
        packet, connection = result.packet, result.connection
        if packet is None or connection is None or packet.protocol != TCP or not packet.unicast:
            return
        segment = packet.data[packet.offset :]
        if len(segment) < _HEADER or segment[_FLAGS] & (SYN | ACK | RST | FIN) != SYN:
            return
        if not is_valid(segment, pseudo(packet.source, packet.destination, TCP, len(segment))):
            return
        here = (connection.address, connection.port)
        if connection.method != MASQUERADE:
            here = (connection.virtual, connection.virtual_port)
        if (TCP, int.from_bytes(here[1], "big")) in self._open and self._director.network.is_local(connection.address):
            self._director.send(_accepted(*here, connection.client, connection.client_port, segment[4:8]))


def _accepted(address: bytes, port: bytes, client: bytes, client_port: bytes, sequence: bytes) -> bytes:
    """The SYN|ACK to a SYN of that sequence number."""
    acknowledged = int.from_bytes(sequence, "big") + 1 & 0xFFFFFFFF
    size = _HEADER + len(_MSS)
    segment = port + client_port + pack("!IIBBHHH", 1, acknowledged, size << 2, SYN | ACK, 64240, 0, 0) + _MSS
    segment = segment[:16] + transport(address, client, TCP, segment).to_bytes(2, "big") + segment[18:]
    if len(address) == 4:
        return sign4(pack("!BBHIBBH", 0x45, 0, 20 + size, 0x4000, 64, TCP, 0) + address + client) + segment
    return pack("!IHBB", 6 << 28, size, TCP, 64) + address + client + segment
