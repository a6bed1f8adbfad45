"""What the packet path's tests share: a director with services, and packets from their parts."""

from __future__ import annotations

from struct import pack

from ipvssim.clock import HZ
from ipvssim.kernel import Kernel
from ipvssim.net.checksums import crc32c, transport
from ipvssim.net.networks import trace_network
from ipvssim.net.packets import sign4
from ipvssim.path.result import Result
from ipvssim.schedulers import find
from ipvssim.state.services import RealServer, VirtualService

TCP, UDP, SCTP = 6, 17, 132
SYN, ACK, FIN, RST = 2, 16, 1, 4
CLIENT = bytes((192, 0, 2, 1))
VIRTUAL = bytes((203, 0, 113, 1))
SERVER = bytes((10, 0, 0, 10))
CLIENT6 = bytes.fromhex("20010db8000c00000000000000000001")
VIRTUAL6 = bytes.fromhex("20010db8008000000000000000000001")
SERVER6 = bytes.fromhex("fd00001000000000000000000000000a")
ROUTER = bytes.fromhex("020000000001")
MASQUERADE, TUNNEL, DIRECT = 0, 2, 3


class World:
    """A director on the network of traces, and short words for what tests do to it."""

    def __init__(self, release: str = "6.1.176", *, uptime: float | None = None, hz: int = HZ, **sysctls: int) -> None:
        self.kernel = Kernel(network=trace_network(), release=release, uptime=uptime, hz=hz)
        for name, value in sysctls.items():
            self.kernel.sysctl.told(name, value)
        self.namespace = self.kernel.namespace
        self.director = self.kernel.director

    def service(
        self, protocol: int = TCP, address: bytes = VIRTUAL, port: int = 80, *, scheduler: str = "rr", fwmark: int = 0,
        persistent: int | None = None, flags: int = 0,
    ) -> VirtualService:  # fmt: skip
        family = 2 if len(address) == 4 else 10
        service = VirtualService(family, fwmark or None, protocol, b"" if fwmark else address, 0 if fwmark else port)
        service.flags |= flags
        if persistent is not None:
            service.flags |= 1
            service.timeout = persistent * 100
        service.netmask = 0xFFFFFFFF if family == 2 else 128
        self.namespace.table.add_service(service, find(scheduler))
        return service

    def server(
        self, service: VirtualService, address: bytes = SERVER, port: int = 8080, method: int = MASQUERADE, weight: int = 1,
        **fields: int,
    ) -> RealServer:  # fmt: skip
        table = self.namespace.table
        server = table.add_server(service, 2 if len(address) == 4 else 10, address, port)
        server.forwarding, server.weight, server.last_weight = method, weight, weight
        for name, value in fields.items():
            setattr(server, name, value)
        table.server_added(server)
        return server

    def client(self, data: bytes, mark: int = 0) -> Result:
        return self.director.receive(data, "client", mark)

    def from_server(self, data: bytes) -> Result:
        kind = b"\x08\x00" if data[0] < 0x60 else b"\x86\xdd"
        return self.director.receive(ROUTER + b"\x02\0\x0a\0\0\x0a" + kind + data, "server")

    def states(self) -> list[str]:
        return sorted(row["state"] for row in self.director.connections())

    def pass_seconds(self, seconds: float) -> None:
        self.namespace.clock.advance(int(seconds * 1e6))


def ip(
    source: bytes, target: bytes, protocol: int, payload: bytes, *, ttl: int = 64, tos: int = 0, ident: int = 1,
    df: bool = False, options: bytes = b"",
) -> bytes:  # fmt: skip
    """An IP packet of the addresses' family."""
    if len(source) == 16:
        return pack("!IHBB", 6 << 28 | tos << 20, len(payload), protocol, ttl) + source + target + payload
    first, field = 0x45 + len(options) // 4, 0x4000 if df else 0
    size = 20 + len(options) + len(payload)
    header = pack("!BBHHHBBH", first, tos, size, ident, field, ttl, protocol, 0) + source + target + options
    return sign4(header) + payload


def tcp(
    flags: int = SYN, port: int = 1024, to: int = 80, payload: bytes = b"", *, source: bytes = CLIENT,
    target: bytes = VIRTUAL, damage: int = 0, **header: int,
) -> bytes:  # fmt: skip
    segment = pack("!HHIIBBHHH", port, to, 1, 1, 0x50, flags, 8192, 0, 0) + payload
    check = transport(source, target, TCP, segment) ^ damage
    return ip(source, target, TCP, segment[:16] + pack("!H", check) + segment[18:], **header)  # type: ignore[arg-type]


def udp(
    port: int = 1024, to: int = 80, payload: bytes = b"data", *, source: bytes = CLIENT, target: bytes = VIRTUAL,
    checked: bool = True, **header: int,
) -> bytes:  # fmt: skip
    segment = pack("!HHHH", port, to, 8 + len(payload), 0) + payload
    check = transport(source, target, UDP, segment) or 0xFFFF if checked else 0
    return ip(source, target, UDP, segment[:6] + pack("!H", check) + segment[8:], **header)  # type: ignore[arg-type]


def sctp(
    *chunks: bytes, port: int = 1024, to: int = 80, source: bytes = CLIENT, target: bytes = VIRTUAL, damage: int = 0
) -> bytes:
    head, body = pack("!HHI", port, to, 7), b"".join(chunks)
    crc = crc32c(head, bytes(4), body) ^ damage
    return ip(source, target, SCTP, head + crc.to_bytes(4, "little") + body)


def chunk(kind: int, value: bytes = b"") -> bytes:
    return pack("!BBH", kind, 0, 4 + len(value)) + value + bytes(-len(value) % 4)


def icmp(
    kind: int, code: int, info: int, quoted: bytes, *, source: bytes = CLIENT, target: bytes = VIRTUAL, **header: int
) -> bytes:
    body = pack("!BBHI", kind, code, 0, info) + quoted
    if len(source) == 4:
        check = 0xFFFF - (int.from_bytes(body + bytes(len(body) & 1), "big") % 0xFFFF)
        return ip(source, target, 1, body[:2] + pack("!H", check) + body[4:], **header)  # type: ignore[arg-type]
    check = transport(source, target, 58, body)
    return ip(source, target, 58, body[:2] + pack("!H", check) + body[4:], **header)  # type: ignore[arg-type]


def fragments(data: bytes, size: int) -> list[bytes]:
    """An IPv4 packet without options in pieces of ``size`` payload bytes."""
    payload = data[20:]
    pieces = []
    for at in range(0, len(payload), size):
        piece = payload[at : at + size]
        field = at // 8 | (0x2000 if at + size < len(payload) else 0)
        header = data[:2] + pack("!H", 20 + len(piece)) + data[4:6] + pack("!H", field) + data[8:20]
        pieces.append(sign4(header) + piece)
    return pieces


def is_sound(data: bytes) -> bool:
    """Whether an IPv4 packet's header and its TCP or UDP checksum are right."""
    start = (data[0] & 15) * 4
    if int.from_bytes(data[:start], "big") % 0xFFFF:
        return False
    if data[9] not in (TCP, UDP) or (data[9] == UDP and data[start + 6 : start + 8] == b"\0\0"):
        return True
    segment = data[start:]
    pseudo = data[12:20] + pack("!HH", data[9], len(segment))
    return int.from_bytes(pseudo + segment + bytes(len(segment) & 1), "big") % 0xFFFF == 0
