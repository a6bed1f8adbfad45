"""Address translation: the bytes of a packet towards its server and back (ip_vs_proto_{tcp,udp,sctp}.c, ip_vs_xmit.c, 6.1).

TCP's and UDP's checksums are changed by the difference only, so a wrong one stays as wrong as it was. A UDP checksum of 0 is
filled in; SCTP's is computed anew where the port changes. Functions return None where the packet is too short for its
transport header, which drops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvsnl.consts import AF_INET
from ipvssim.net.addresses import special_kind
from ipvssim.net.checksums import crc32c, finish, pseudo, total, transport
from ipvssim.net.packets import ICMPV6, OFFSET6, SCTP, TCP, UDP, WITH_PORTS, Packet, middle4, sign4, walk_quoted6
from ipvssim.path.connections import UNMEASURED

if TYPE_CHECKING:
    from ipvssim.path.connections import ConnectionEntry

_LEAST: Final = {TCP: 20, UDP: 8, SCTP: 12}
_MANGLED_ZERO: Final = b"\xff\xff"
GROUPS: Final = 0xE0
"""The first byte of the lowest address that is a group's."""
NO_WAY_BACK: Final = "no way to a client begins at a group's address"
CUT: Final = "an error that quotes less than a header says"


def _measure(connection: ConnectionEntry) -> None:
    """Note what a request's translation adds to the sum of its IPv4 header and to that of its transport segment."""
    key, port, new = connection.key, connection.port, connection.address
    if len(key) == 12:
        header = (new[0] + new[2] - key[4] - key[6] << 8) + new[1] + new[3] - key[5] - key[7]
    else:
        header = total(new) - total(key[16:32])
    connection.header_shift = header
    connection.shift = header + (port[0] - key[-2] << 8) + port[1] - key[-1]


def request(packet: Packet, connection: ConnectionEntry, hops: int) -> bytes | None:
    """A request with the server's address and port for the virtual ones, and its new lifetime."""
    data, start = packet.data, packet.offset
    if connection.header_shift == UNMEASURED:
        _measure(connection)
    if start == 20 and packet.protocol == TCP and len(data) >= 40:  # most packets, whose parts are joined but once
        middle = middle4(data, hops, connection.header_shift)
        check = _shifted(data, 36, connection.shift)
        client = data[20:22]
        return b"".join(
            (data[:8], middle, data[12:16], connection.address, client, connection.port, data[24:36], check, data[38:])
        )
    if packet.family == AF_INET:
        middle = middle4(data, hops, connection.header_shift)
        head = b"".join((data[:8], middle, data[12:16], connection.address, data[20:start]))
        if start > 20:
            head = sign4(head)  # options may have changed since the checksum was verified
    else:
        head = b"".join((data[:7], hops.to_bytes(1, "big"), data[8:24], connection.address, data[40:start]))
    if packet.protocol not in WITH_PORTS:
        return head + data[start:]
    return _joined(packet, head, data[start : start + 2], connection.port, connection.shift)


def reply(packet: Packet, connection: ConnectionEntry) -> bytes | None:
    """A reply with the virtual address and port for the server's; its lifetime stays."""
    data, start = packet.data, packet.offset
    if connection.header_shift == UNMEASURED:
        _measure(connection)
    if packet.family == AF_INET:
        head = b"".join((data[:10], _shifted(data, 10, -connection.header_shift), connection.virtual, data[16:start]))
        if start > 20:
            head = sign4(head)
    else:
        head = b"".join((data[:8], connection.virtual, data[24:start]))
    if packet.protocol not in WITH_PORTS:
        return head + data[start:]
    return _joined(packet, head, connection.virtual_port, data[start + 2 : start + 4], -connection.shift)


def leads_back(connection: ConnectionEntry) -> bool:
    """Whether a translated reply finds its way when it is routed anew (snat_reroute): IPv4 has no way that begins at a
    group's address or at 255.255.255.255 (``ip_route_output_key_hash_rcu``, net/ipv4/route.c, Linux 6.1)."""
    return len(connection.virtual) != 4 or not special_kind(connection.virtual)


def _shifted(data: bytes, at: int, shift: int) -> bytes:
    """The checksum that stands at a place, when ``shift`` is added to what it is the checksum of."""
    rest = (0xFFFF - (data[at] << 8 | data[at + 1]) + shift) % 0xFFFF
    return (0xFFFF - rest if rest else 0).to_bytes(2, "big")


def _joined(packet: Packet, head: bytes, source_port: bytes, port: bytes, shift: int) -> bytes | None:
    """The translated header, the ports, and the segment with its checksum brought up to date."""
    data, start, protocol = packet.data, packet.offset, packet.protocol
    if len(data) - start < _LEAST[protocol]:
        return None
    if protocol == TCP:
        check = _shifted(data, start + 16, shift)
        return b"".join((head, source_port, port, data[start + 4 : start + 16], check, data[start + 18 :]))
    if protocol == UDP:
        if data[start + 6] or data[start + 7]:
            check = _shifted(data, start + 6, shift)
            if check == b"\0\0":
                check = _MANGLED_ZERO
            return b"".join((head, source_port, port, data[start + 4 : start + 6], check, data[start + 8 :]))
        segment = b"".join((source_port, port, data[start + 4 : start + 6], b"\0\0", data[start + 8 :]))
        source, destination = (head[12:16], head[16:20]) if packet.family == AF_INET else (head[8:24], head[24:40])
        check = (transport(source, destination, UDP, segment) or 0xFFFF).to_bytes(2, "big")
        return b"".join((head, segment[:6], check, segment[8:]))
    if source_port + port == data[start : start + 4]:
        return head + data[start:]
    crc = crc32c(source_port, port, data[start + 4 : start + 8], b"\0\0\0\0", data[start + 12 :])
    return b"".join(
        (head, source_port, port, data[start + 4 : start + 8], crc.to_bytes(4, "little"), data[start + 12 :])
    )


def icmp(packet: Packet, connection: ConnectionEntry, *, towards_client: bool, hops: int) -> bytes | None:
    """An ICMP error with the packet that it quotes, both translated. The quoted transport checksum stays stale.
    None: it is dropped, since a quoted header says to be longer than what is quoted (skb_ensure_writable)."""
    if packet.family == AF_INET:
        return _icmp4(packet, connection, towards_client, hops)
    return _icmp6(packet, connection, towards_client, hops)


def _icmp4(packet: Packet, connection: ConnectionEntry, towards_client: bool, hops: int) -> bytes | None:
    data, start = packet.data, packet.offset
    outer, message, quoted = data[:start], data[start : start + 8], data[start + 8 :]
    size = (quoted[0] & 15) * 4
    if size > len(quoted):
        return None
    if towards_client:
        outer = outer[:12] + connection.virtual + outer[16:]
        quoted = quoted[:16] + connection.virtual + quoted[20:]
    else:
        outer = b"".join((outer[:8], bytes((hops,)), outer[9:16], connection.address, outer[20:]))
        quoted = quoted[:12] + connection.address + quoted[16:]
    signed = sign4(quoted[:size]) + quoted[size:] if size >= 20 else _mis_signed(quoted)
    body = signed[:size] + _quoted_ports(signed[size:], signed[9], connection, towards_client)
    sum_ = total(body) + total(message[:2] + message[4:])
    return b"".join((sign4(outer), message[:2], finish(sum_).to_bytes(2, "big"), message[4:], body))


def _mis_signed(header: bytes) -> bytes:
    """An IPv4 header that says to have less than 20 bytes, and what the kernel takes for its checksum then: its first two
    bytes (ip_fast_csum, arch/x86/include/asm/checksum_64.h, Linux 6.1)."""
    return header[:10] + header[:2] + header[12:]


def _icmp6(packet: Packet, connection: ConnectionEntry, towards_client: bool, hops: int) -> bytes | None:
    data, start = packet.data, packet.offset
    outer, message, quoted = data[:start], data[start : start + 8], data[start + 8 :]
    walked = walk_quoted6(quoted)
    protocol, size, fragment = walked if walked is not None else (0, 40, 0)
    if fragment & OFFSET6:  # its ports are not where those of others are, and stay
        protocol, size = 0, 40
    if size > len(quoted):
        return None
    inner, rest = quoted[:size], quoted[size:]
    if towards_client:
        outer = outer[:8] + connection.virtual + outer[24:]
        inner = inner[:24] + connection.virtual + inner[40:]
    else:
        outer = b"".join((outer[:7], bytes((hops,)), outer[8:24], connection.address, outer[40:]))
        inner = inner[:8] + connection.address + inner[24:]
    body = inner + _quoted_ports(rest, protocol, connection, towards_client)
    sum_ = total(body) + total(message[:2] + message[4:])
    sum_ += pseudo(outer[8:24], outer[24:40], ICMPV6, len(data) - start)
    return b"".join((outer, message[:2], finish(sum_).to_bytes(2, "big"), message[4:], body))


def _quoted_ports(rest: bytes, protocol: int, connection: ConnectionEntry, towards_client: bool) -> bytes:
    if protocol not in WITH_PORTS:
        return rest
    if towards_client:
        return rest[:2] + connection.virtual_port + rest[4:]
    return connection.port + rest[2:]
