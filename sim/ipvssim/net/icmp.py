"""The ICMP errors that the director makes itself (net/ipv4/icmp.c, net/ipv6/icmp.c, Linux 6.1)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from ipvsnl.consts import AF_INET
from ipvssim.net.checksums import checksum, transport
from ipvssim.net.packets import ICMP, ICMPV6, MF, OFFSET, OFFSET6, Packet, sign4

UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12
HOST_UNREACHABLE: Final = 1
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4
ERRORS4: Final = frozenset((3, 4, 5, 11, 12))
ECHO_TYPES4: Final = frozenset((0, 3, 4, 5, 8, 11, 12, 13, 14, 15, 16, 17, 18))
"""Types that icmp_pointers knows; an ICMP packet of any higher type gets no error in answer."""

UNREACHABLE6: Final = 1
TOO_BIG6: Final = 2
TIME_EXCEEDED6: Final = 3
PARAMETER_PROBLEM6: Final = 4
NO_ROUTE6: Final = 0
ADDRESS6: Final = 3
PORT6: Final = 4
INFORMATIONAL6: Final = 0x80
REDIRECT6: Final = 137

HOPS: Final = 64
LARGEST4: Final = 576
LARGEST6: Final = 1280

_ip4 = Struct("!BBHHHBBH4s4s").pack
_ip6 = Struct("!IHBB16s16s").pack
_icmp = Struct("!BBHI").pack
_redirected = Struct("!BB6s").pack


def answers(packet: Packet) -> bool:
    """Whether an error may answer ``packet``: not a later fragment, an ICMP error, or what was sent to several hosts."""
    if not packet.unicast:
        return False
    data = packet.data
    if packet.family == AF_INET:
        if int.from_bytes(data[6:8], "big") & OFFSET:
            return False
        kind = data[packet.offset] if len(data) > packet.offset else UNREACHABLE  # without a type it may be an error
        return packet.protocol != ICMP or (kind not in ERRORS4 and kind <= 18)
    source = packet.source
    if source == bytes(16) or source[0] == 0xFF or packet.destination[0] == 0xFF or is_link_local(source):
        return False  # a link-local sender could be answered if its neighbour entry were there, but none ever is
    if packet.protocol == ICMPV6 and not packet.fragment & OFFSET6:
        return len(data) > packet.offset and bool(data[packet.offset] & INFORMATIONAL6)
    return True


def is_link_local(address: bytes) -> bool:
    """fe80::/10."""
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def error4(
    packet: Packet,
    source: bytes,
    kind: int,
    code: int,
    info: int,
    ident: int,
    options: bytes = b"",
    room: int = LARGEST4,
) -> bytes:
    """An ICMP error from ``source`` to the sender of ``packet``, quoting what fits ``room`` (at most 576) bytes.

    ``options`` are those of the packet that an answer carries too (:func:`ipvssim.net.options4.echo`).
    """
    data = packet.data
    room = min(room, LARGEST4) - 28 - len(options)
    body = data[: max(room, 0)]
    header = _icmp(kind, code, 0, info)
    message = _icmp(kind, code, checksum(header + body), info) + body
    tos = data[1] & 0x1E | 0xC0
    first = 0x45 + len(options) // 4
    size = 20 + len(options) + len(message)
    return sign4(_ip4(first, tos, size, ident, 0, HOPS, ICMP, 0, source, packet.source) + options) + message


def error6(packet: Packet, source: bytes, kind: int, code: int, info: int, label: int) -> bytes:
    """An ICMPv6 error from ``source`` to the sender of ``packet``, 1280 bytes at most."""
    body = packet.data[: LARGEST6 - 48]
    header = _icmp(kind, code, 0, info)
    check = transport(source, packet.source, ICMPV6, header + body)
    message = _icmp(kind, code, check, info) + body
    return _ip6(6 << 28 | label, len(message), ICMPV6, HOPS, source, packet.source) + message


def redirect6(packet: Packet, source: bytes, target: bytes, mac: bytes) -> bytes:
    """An ICMPv6 redirect (ndisc_send_redirect, net/ipv6/ndisc.c, Linux 6.1): ``target`` is a shorter way than the director.

    ``mac`` is the target's link-layer address, where it is known; ``packet`` is quoted as far as it fits.
    """
    options = b"\x02\x01" + mac if mac else b""
    room = min(LARGEST6 - 80 - len(options), len(packet.data) + 8) & ~7
    quoted = _redirected(4, room >> 3, bytes(6)) + packet.data[: room - 8]
    body = target + packet.destination + options + quoted
    check = transport(source, packet.source, ICMPV6, _icmp(REDIRECT6, 0, 0, 0) + body)
    message = _icmp(REDIRECT6, 0, check, 0) + body
    return _ip6(6 << 28, len(message), ICMPV6, 255, source, packet.source) + message


__all__ = ["MF", "OFFSET", "answers", "error4", "error6", "redirect6"]
