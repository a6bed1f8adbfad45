"""Tunnels: a packet wrapped for its server, in IPIP, GUE or GRE over IPv4 or IPv6 (ip_vs_tunnel_xmit*; 6.1)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from ipvsnl.consts import AF_INET
from ipvssim.net.checksums import checksum, transport
from ipvssim.net.packets import GRE, IPIP, IPV6, UDP, Packet, sign4

KIND_IPIP: Final = 0
KIND_GUE: Final = 1
KIND_GRE: Final = 2
F_CHECKSUM: Final = 0x1
F_REMOTE_CHECKSUM: Final = 0x2
GRE_CHECKSUM: Final = 0x8000
_ETHERTYPES: Final = {IPIP: 0x0800, IPV6: 0x86DD}

_udp = Struct("!HHHHBBBB").pack
_gre = Struct("!HH").pack
_outer4 = Struct("!BBHHHBBH4s4s").pack
_outer6 = Struct("!IHBB16s16s").pack


def overhead(kind: int, flags: int) -> int:
    """Bytes between the outer IP header and the packet."""
    if kind == KIND_GUE:
        return 12
    if kind == KIND_GRE:
        return 8 if flags & F_CHECKSUM else 4
    return 0


def inner(packet: Packet, hops: int) -> bytes:
    """The packet as it is wrapped: its lifetime reduced, an IPv4 header's checksum computed anew."""
    data = packet.data
    if packet.family == AF_INET:
        return sign4(data[:8] + bytes((hops,)) + data[9 : packet.offset]) + data[packet.offset :]
    return data[:7] + bytes((hops,)) + data[8:]


def outer_tos(tos: int) -> int:
    """The inner TOS or traffic class; the mark of congestion (CE) becomes ECT(0), as RFC 3168's full functionality wants."""
    return tos & 0xFC | (2 if tos & 3 == 3 else tos & 3)


def wrap(
    data: bytes, family: int, kind: int, flags: int, port: int, source: bytes, destination: bytes, source_port: int
) -> tuple[int, bytes]:
    """The outer header's protocol, and what follows that header. ``source_port`` is GUE's, by the inner flow.

    A remote checksum offload asked for by ``flags`` acts as a plain checksum: the option only appears on packets whose own
    checksum is left to the device, and received ones are finished.
    """
    protocol = IPIP if family == AF_INET else IPV6
    if kind == KIND_GUE:
        size = len(data) + 12
        header = _udp(source_port, port, size, 0, 0, protocol, 0, 0)
        if flags & (F_CHECKSUM | F_REMOTE_CHECKSUM):
            check = transport(source, destination, UDP, header + data) or 0xFFFF
            header = _udp(source_port, port, size, check, 0, protocol, 0, 0)
        return UDP, header + data
    if kind == KIND_GRE:
        if not flags & F_CHECKSUM:
            return GRE, _gre(0, _ETHERTYPES[protocol]) + data
        header = _gre(GRE_CHECKSUM, _ETHERTYPES[protocol])
        return GRE, b"".join((header, checksum(header + data).to_bytes(2, "big"), b"\0\0", data))
    return protocol, data


def outer4(protocol: int, payload: bytes, tos: int, hops: int, df: bool, ident: int, source: bytes, to: bytes) -> bytes:
    """A wrapped packet over IPv4."""
    fragment = 0x4000 if df else 0
    header = _outer4(0x45, tos, len(payload) + 20, ident, fragment, hops, protocol, 0, source, to)
    return sign4(header) + payload


def outer6(protocol: int, payload: bytes, tos: int, hops: int, source: bytes, to: bytes) -> bytes:
    """A wrapped packet over IPv6: flow label 0."""
    return _outer6(6 << 28 | tos << 20, len(payload), protocol, hops, source, to) + payload
