"""Programs that listen on the director's own host, as far as its connections see them: what they say to a client.

They keep nothing in mind. A segment tells by its numbers what the answer to it is, so a client is believed to be where it
says. A port of TCP takes a first SYN with a SYN|ACK, data with an ACK, and ends when its client does (``tcp_v4_rcv`` and
``tcp_v6_rcv``, Linux 6.1, with a program that reads and closes). What is said passes the director's hooks as any reply does.
Where nobody listens the director itself knows what the host answers.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET, PROTOCOLS
from ipvssim.net.checksums import is_valid, pseudo, transport
from ipvssim.net.packets import ACK, FIN, RST, SYN, TCP, UDP, Packet, sign4
from ipvssim.path.connections import MASQUERADE

if TYPE_CHECKING:
    from ipvssim.path.connections import ConnectionEntry
    from ipvssim.path.director import Director
    from ipvssim.path.result import Result

_HEADER: Final = {TCP: 20, UDP: 8}
_MSS: Final = b"\x02\x04\x05\xb4"
_FIRST: Final = 1
"""The first sequence number of every program."""


class Sockets:
    """The open ports of one director."""

    def __init__(self, director: Director) -> None:
        self._director = director
        self._open: dict[tuple[int, int], bool] = {}
        director.network.listens = lambda protocol, port: (protocol, port) in self._open

    def open(self, protocol: str, port: int, *, echo: bool = False) -> None:
        """A program listens: ``protocol`` is ``"tcp"`` or ``"udp"``. With ``echo`` one of UDP sends back what it gets, else
        it reads in silence. ValueError for another protocol, or a port that is none."""
        if protocol not in ("tcp", "udp") or (echo and protocol != "udp"):
            raise ValueError(f"listen on {protocol!r}: programs listen on tcp or udp, and one of udp may echo")
        if type(port) is not int or not 1 <= port <= 0xFFFF:
            raise ValueError(f"listen on port {port!r}: a port is a whole number from 1 to 65535")
        self._open[PROTOCOLS[protocol], port] = echo

    def answer(self, result: Result) -> list[tuple[str, bytes]]:
        """What a program says to a packet that the host was handed, as it leaves (device, bytes); nothing where the packet
        is not for a program, or asks for no answer."""
        packet = result.packet
        if packet is None or packet.protocol not in _HEADER or not packet.unicast or packet.fragment:
            return []
        segment = packet.data[packet.offset :]
        place = _place(packet, result.connection)
        echo = self._open.get((packet.protocol, int.from_bytes(place[1], "big")))
        if echo is None or len(segment) < _HEADER[packet.protocol] or not self._director.network.is_local(place[0]):
            return []
        if not is_valid(segment, pseudo(packet.source, packet.destination, packet.protocol, len(segment))):
            return []
        if packet.protocol == TCP:
            said = _said(segment)
        else:
            said = segment[4:6] + bytes(2) + segment[8:] if echo else b""
        return self._director.send(_packet(packet.protocol, place, packet, said)).out if said else []


def _place(packet: Packet, connection: ConnectionEntry | None) -> tuple[bytes, bytes]:
    """The address and port that the program has: the server's where IPVS translates, else the packet's own."""
    if connection is not None and connection.method == MASQUERADE:
        return connection.address, connection.port
    return packet.destination, packet.key[-2:]


def _said(segment: bytes) -> bytes:
    """A segment's answer behind its ports; nothing where it asks for none."""
    sequence, acknowledged = (int.from_bytes(segment[at : at + 4], "big") for at in (4, 8))
    flags, data = segment[13] & (SYN | ACK | RST | FIN), len(segment) - (segment[12] >> 4) * 4
    options = b""
    if flags == SYN:
        acknowledged, kind, options = _FIRST, SYN | ACK, _MSS
        data = 1
    elif flags & (SYN | RST) or not flags & ACK or (data <= 0 and not flags & FIN):
        return b""
    else:
        kind = ACK | flags & FIN
        data += bool(flags & FIN)
    size = _HEADER[TCP] + len(options)
    return pack("!IIBBHHH", acknowledged, sequence + data & 0xFFFFFFFF, size << 2, kind, 64240, 0, 0) + options


def _packet(protocol: int, place: tuple[bytes, bytes], asked: Packet, said: bytes) -> bytes:
    """What a program says from its place to whom it is said, with its checksums."""
    address, port = place
    segment = port + asked.key[-4:-2] + said
    at = 16 if protocol == TCP else 6
    check = transport(address, asked.source, protocol, segment)
    if protocol == UDP:
        check = check or 0xFFFF
    segment = segment[:at] + check.to_bytes(2, "big") + segment[at + 2 :]
    if asked.family == AF_INET:
        head = pack("!BBHIBBH", 0x45, 0, 20 + len(segment), 0x4000, 64, protocol, 0)
        return sign4(head + address + asked.source) + segment
    return pack("!IHBB", 6 << 28, len(segment), protocol, 64) + address + asked.source + segment
