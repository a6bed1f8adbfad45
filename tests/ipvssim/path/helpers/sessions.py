"""An FTP client and its server with a simulated director between them, packet by packet."""

from __future__ import annotations

from typing import NamedTuple

from ipvssim import Kernel
from tests.kernel.traces import packets as p

WRAP = 1 << 32
VIRTUAL, SERVER, CLIENT = "192.0.2.1", "10.9.8.7", "198.51.100.7"
VIRTUAL6, SERVER6, CLIENT6 = "2001:db8::1", "fd00::7", "2001:db8:c::7"


class Seen(NamedTuple):
    """A segment as it left the director."""

    source: bytes
    target: bytes
    ports: tuple[int, int]
    sequence: int
    acknowledged: int
    payload: bytes
    sums: bool
    """Whether its checksum is right."""


def read(packet: bytes) -> Seen:
    """The segment in an IP packet."""
    six = packet[0] >> 4 == 6
    source, target = (packet[8:24], packet[24:40]) if six else (packet[12:16], packet[16:20])
    segment = packet[40 if six else 20 :]
    sequence, acknowledged = (int.from_bytes(segment[at : at + 4], "big") for at in (4, 8))
    ports = int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big")
    right = p.checksum(p.pseudo(source, target, p.TCP, len(segment)) + segment) == 0
    return Seen(source, target, ports, sequence, acknowledged, segment[(segment[12] >> 4) * 4 :], right)


class Ftp:
    """One session to 192.0.2.1:21 (or over IPv6), opened. ``up`` and ``down`` send a segment and tell what left."""

    def __init__(self, modules: tuple[str, ...] = ("ip_vs_ftp",), *, six: bool = False, **how: object) -> None:
        names = (VIRTUAL6, SERVER6, CLIENT6) if six else (VIRTUAL, SERVER, CLIENT)
        virtual, server = (f"[{name}]" for name in names[:2]) if six else names[:2]
        rules = f"-A -t {virtual}:21 -s rr\n-a -t {virtual}:21 -r {server}:21 -m"
        self.kernel = Kernel(rules, modules=modules, **how)  # type: ignore[arg-type]
        self.virtual, self.server, self.client = map(p.address, names)
        self.client_next, self.server_next = 1000, 5000
        self.shown_next = 5000
        """The next sequence number of the server's, as the client sees it."""
        self.kernel.sysctl["net.netfilter.nf_conntrack_checksum"] = int(not six)

    def open(self) -> Ftp:
        """The handshake."""
        self.up(p.SYN)
        self.down(p.SYN | p.ACK)
        self.up(p.ACK)
        return self

    def up(self, flags: int = p.ACK | p.PSH, payload: bytes = b"", **odd: int) -> Seen | None:
        """A segment of the client's."""
        acknowledged = self.shown_next if flags & p.ACK else 0
        at = odd.pop("at", self.client_next)
        seen = self.sent(
            self.client, self.virtual, (odd.pop("port", 4000), odd.pop("to", 21)), flags, payload, at, acknowledged
        )
        if at == self.client_next:
            self.client_next += len(payload) + bool(flags & p.SYN) + bool(flags & p.FIN)
        return seen

    def down(self, flags: int = p.ACK | p.PSH, payload: bytes = b"", **odd: int) -> Seen | None:
        """A segment of the server's."""
        at = odd.pop("at", self.server_next)
        seen = self.sent(self.server, self.client, (21, 4000), flags, payload, at, self.client_next)
        size = bool(flags & p.SYN) + bool(flags & p.FIN)
        if at == self.server_next:
            self.server_next += len(payload) + size
            if seen is not None:
                self.shown_next = (seen.sequence + len(seen.payload) + size) % WRAP
        return seen

    def sent(
        self, source: bytes, target: bytes, ports: tuple[int, int], flags: int, payload: bytes, sequence: int,
        acknowledged: int,
    ) -> Seen | None:  # fmt: skip
        """Any segment; what left, or None."""
        segment = p.tcp(
            source, target, ports, flags, payload, sequence=sequence % WRAP, acknowledged=acknowledged % WRAP
        )
        out = self.kernel.receive(p.ip(source, target, p.TCP, segment)).out
        if not out:
            return None
        device, packet = out[0]
        return read(packet[14:] if self.kernel.network.devices[device].kind == "ethernet" else packet)

    def states(self) -> dict[tuple[int, int], str]:
        """The connections' states by client's and virtual port."""
        return {(one.client_port, one.virtual_port): one.state for one in self.kernel.connections()}
