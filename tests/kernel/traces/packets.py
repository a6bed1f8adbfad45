"""Packet bytes from their parts: IPv4, IPv6, TCP, UDP, SCTP, ICMP. Addresses are packed (4 or 16 bytes)."""

from __future__ import annotations

import ipaddress
import struct

TCP, UDP, SCTP, ICMP, ICMPV6, ESP, AH = 6, 17, 132, 1, 58, 50, 51
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
ROUTER_MAC = bytes.fromhex("020000000001")
ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}


def address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def put(data: bytes, offset: int, value: int) -> bytes:
    return data[:offset] + struct.pack("!H", value) + data[offset + 2 :]


def pseudo(source: bytes, target: bytes, protocol: int, length: int) -> bytes:
    if len(source) == 4:
        return source + target + struct.pack("!BBH", 0, protocol, length)
    return source + target + struct.pack("!II", length, protocol)


def tcp(
    source: bytes,
    target: bytes,
    ports: tuple[int, int],
    flags: int,
    payload: bytes = b"",
    *,
    sequence: int = 0,
    acknowledged: int = 0,
    options: bytes = b"",
    damage: int = 0,
) -> bytes:
    """A segment; `damage` is added to its checksum."""
    offset = (20 + len(options)) // 4
    segment = (
        struct.pack("!HHIIBBHHH", *ports, sequence, acknowledged, offset << 4, flags, 8192, 0, 0) + options + payload
    )
    total = checksum(pseudo(source, target, TCP, len(segment)) + segment)
    return put(segment, 16, (total + damage) & 0xFFFF)


def udp(
    source: bytes,
    target: bytes,
    ports: tuple[int, int],
    payload: bytes = b"",
    *,
    unsummed: bool = False,
    damage: int = 0,
) -> bytes:
    datagram = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    if unsummed:
        return datagram
    total = checksum(pseudo(source, target, UDP, len(datagram)) + datagram) or 0xFFFF
    return put(datagram, 6, (total + damage) & 0xFFFF or 1)


def chunk(kind: int, flags: int = 0, value: bytes = b"") -> bytes:
    data = struct.pack("!BBH", kind, flags, 4 + len(value)) + value
    return data + bytes(-len(data) % 4)


def sctp(ports: tuple[int, int], tag: int, chunks: bytes, *, damage: int = 0) -> bytes:
    packet = struct.pack("!HHII", *ports, tag, 0) + chunks
    return packet[:8] + struct.pack("<I", crc32c(packet) ^ damage) + packet[12:]


def icmp(kind: int, code: int, rest: int, quoted: bytes, *, damage: int = 0) -> bytes:
    message = struct.pack("!BBHI", kind, code, 0, rest) + quoted
    return put(message, 2, checksum(message) ^ damage)


def icmp6(source: bytes, target: bytes, kind: int, code: int, rest: int, quoted: bytes, *, damage: int = 0) -> bytes:
    message = struct.pack("!BBHI", kind, code, 0, rest) + quoted
    return put(message, 2, checksum(pseudo(source, target, ICMPV6, len(message)) + message) ^ damage)


def ip4(
    source: bytes,
    target: bytes,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    tos: int = 0,
    ident: int = 1,
    whole: bool = False,
    more: bool = False,
    offset: int = 0,
    options: bytes = b"",
    damage: int = 0,
) -> bytes:
    """A packet; `whole` is the don't-fragment flag, `offset` counts bytes."""
    fragment = (0x4000 if whole else 0) | (0x2000 if more else 0) | offset // 8
    words = 5 + len(options) // 4
    header = (
        struct.pack(
            "!BBHHHBBH4s4s",
            0x40 | words,
            tos,
            words * 4 + len(payload),
            ident,
            fragment,
            ttl,
            protocol,
            0,
            source,
            target,
        )
        + options
    )
    return put(header, 10, checksum(header) ^ damage) + payload


def ip6(
    source: bytes, target: bytes, protocol: int, payload: bytes, *, hops: int = 64, traffic: int = 0, label: int = 0
) -> bytes:
    return (
        struct.pack("!IHBB16s16s", 6 << 28 | traffic << 20 | label, len(payload), protocol, hops, source, target)
        + payload
    )


def ip(
    source: bytes,
    target: bytes,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    tos: int = 0,
    ident: int = 1,
    whole: bool = False,
) -> bytes:
    """The family of the addresses decides; what IPv6 has no place for is left out."""
    if len(source) == 16:
        return ip6(source, target, protocol, payload, hops=ttl, traffic=tos)
    return ip4(source, target, protocol, payload, ttl=ttl, tos=tos, ident=ident, whole=whole)


def fragments(packet: bytes, size: int) -> list[bytes]:
    """An IPv4 packet without options cut into pieces of at most `size` bytes of payload (a multiple of 8)."""
    source, target, protocol = packet[12:16], packet[16:20], packet[9]
    payload, pieces = packet[20:], []
    for offset in range(0, len(payload), size):
        piece = payload[offset : offset + size]
        pieces.append(
            ip4(
                source,
                target,
                protocol,
                piece,
                ttl=packet[8],
                tos=packet[1],
                offset=offset,
                ident=int.from_bytes(packet[4:6], "big"),
                more=offset + size < len(payload),
            )
        )
    return pieces


def frame(server: bytes, packet: bytes) -> bytes:
    """The Ethernet frame in which the server with that address sends the packet to the director."""
    mac = b"\x02\x00\x0a\x00" + server[2:] if len(server) == 4 else b"\x02\x00\xfd\x00\x00" + server[15:]
    return ROUTER_MAC + mac + ETHERTYPES[packet[0] >> 4] + packet
