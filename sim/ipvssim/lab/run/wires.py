"""Packets by the thousand: one template for each kind of packet, filled in with clients' addresses and ports.

Checksums are right: what is put to the simulator here is put to real kernels too.
"""

from __future__ import annotations

from struct import pack

import numpy as np

from ipvssim.lab.run.draws import Bytes, Integers
from ipvssim.lab.run.loop import ACK, ANSWER, CLOSE, CLOSED, DATA, LAST, OPEN, OPENED, RAW, Wires
from ipvssim.lab.scenario.rules import Endpoint
from ipvssim.net.checksums import crc32c, finish, pseudo, total
from ipvssim.net.packets import SCTP, TCP, UDP
from ipvssim.net.specimens import Specimen

_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_TCP_FLAGS = {
    OPEN: _SYN, ACK: _ACK, DATA: _PSH | _ACK, CLOSE: _FIN | _ACK, LAST: _ACK,
    OPENED: _SYN | _ACK, ANSWER: _PSH | _ACK, CLOSED: _FIN | _ACK,
}  # fmt: skip
_CHUNKS = {OPEN: 1, ACK: 10, DATA: 0, CLOSE: 7, LAST: 14, OPENED: 2, ANSWER: 0, CLOSED: 8}
_PAYLOAD = b"data"
_SERVER_SIDE = bytes.fromhex("020000000001 02000a000001")


def transport(protocol: int, ports: tuple[int, int], kind: int, *, reset: bool = False) -> bytes:
    """A segment, datagram or SCTP packet, its checksum 0 (SCTP's right)."""
    payload = _PAYLOAD if kind in (DATA, ANSWER) else b""
    if protocol == TCP:
        flags = _RST if reset else _TCP_FLAGS[kind]
        return pack("!HHIIBBHHH", *ports, 1, 1, 0x50, flags, 8192, 0, 0) + payload
    if protocol == UDP:
        return pack("!HHHH", *ports, 8 + len(_PAYLOAD), 0) + _PAYLOAD
    body = bytes(16) if kind in (OPEN, OPENED) else bytes(4)
    chunk = pack("!BBH", 6 if reset else _CHUNKS[kind], 0, 4 + len(body)) + body
    bare = pack("!HHII", *ports, 1, 0) + chunk
    return bare[:8] + crc32c(bare).to_bytes(4, "little") + chunk


def packet(protocol: int, source: bytes, target: bytes, segment: bytes) -> bytes:
    """An IP packet around a segment; the checksums of its header and of TCP and UDP are filled in."""
    if protocol in (TCP, UDP):
        at = 16 if protocol == TCP else 6
        check = finish(total(segment) + pseudo(source, target, protocol, len(segment)))
        check = check or (0xFFFF if protocol == UDP else 0)
        segment = b"".join((segment[:at], check.to_bytes(2, "big"), segment[at + 2 :]))
    if len(source) == 16:
        return pack("!IHBB", 6 << 28, len(segment), protocol, 64) + source + target + segment
    head = pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, protocol, 0) + source + target
    return head[:10] + finish(total(head)).to_bytes(2, "big") + head[12:] + segment


class Template:
    """What clients of one service send, of one kind."""

    def __init__(self, end: Endpoint, kind: int, *, reset: bool = False) -> None:
        self._end = end
        self._kind = kind
        self._reset = reset
        segment = transport(end.protocol, (0, end.port), kind, reset=reset)
        self._base = np.frombuffer(packet(end.protocol, bytes(len(end.address)), end.address, segment), np.uint8)
        self._start = 20 if len(end.address) == 4 else 40

    def packets(self, addresses: Bytes, ports: Integers) -> list[bytes]:
        """One packet for each row of ``addresses`` and its port."""
        end, start, count = self._end, self._start, len(ports)
        if end.protocol == SCTP:
            return [self._sctp(bytes(one), int(port)) for one, port in zip(addresses, ports, strict=True)]
        made = np.tile(self._base, (count, 1))
        source = 12 if start == 20 else 8
        made[:, source : source + len(end.address)] = addresses
        made[:, start] = ports >> 8
        made[:, start + 1] = ports & 0xFF
        added = addresses[:, ::2].sum(1, dtype=np.int64) * 256 + addresses[:, 1::2].sum(1, dtype=np.int64)
        if start == 20:
            _shift(made, 10, added)
        _shift(made, start + (16 if end.protocol == TCP else 6), added + ports, udp=end.protocol == UDP)
        packed: list[bytes] = made.view(f"V{made.shape[1]}").ravel().tolist()
        return packed

    def _sctp(self, address: bytes, port: int) -> bytes:
        segment = transport(SCTP, (port, self._end.port), self._kind, reset=self._reset)
        return packet(SCTP, address, self._end.address, segment)


def _shift(made: Bytes, at: int, added: Integers, *, udp: bool = False) -> None:
    """Bring a checksum field up to date with words that took the place of zeros."""
    old = made[:, at].astype(np.int64) << 8 | made[:, at + 1]
    rest = (0xFFFF - old + added) % 0xFFFF
    check = np.where(rest > 0, 0xFFFF - rest, 0xFFFF if udp else 0)
    made[:, at] = check >> 8
    made[:, at + 1] = check & 0xFF


class Kind:
    """What makes the packets of one kind, of whatever flow (:class:`ipvssim.net.specimens.Form`)."""

    def __init__(self, protocol: int, kind: int, *, reset: bool = False) -> None:
        self._protocol = protocol
        self._kind = kind
        self._reset = reset

    def packet(self, key: bytes) -> bytes:
        """The packet of a flow."""
        middle = len(key) - 4 >> 1
        ports = int.from_bytes(key[-4:-2], "big"), int.from_bytes(key[-2:], "big")
        segment = transport(self._protocol, ports, self._kind, reset=self._reset)
        return packet(self._protocol, key[:middle], key[middle:-4], segment)


def wires(end: Endpoint, *, reset: bool) -> Wires:
    """What clients of a service send and its servers answer; with ``reset`` clients close by RST."""
    if not end.protocol:
        return Wires([], {})
    nobody = bytes(len(end.address))
    key = b"".join((nobody, end.address, bytes(2), end.port.to_bytes(2, "big")))
    kinds = [Kind(end.protocol, kind, reset=reset and kind == CLOSE) for kind in (OPEN, ACK, DATA, CLOSE, LAST)]
    answers = {kind: Kind(end.protocol, kind) for kind in (OPENED, ANSWER, CLOSED)}
    return Wires(
        [Specimen(kind.packet(key), kind, "client", end.mark) for kind in kinds],
        {number: Specimen(kind.packet(nobody * 2 + bytes(4)), kind, "server") for number, kind in answers.items()},
    )


def frame(data: bytes) -> bytes:
    """A packet of a server's as a frame on the director's Ethernet."""
    return _SERVER_SIDE + (b"\x08\x00" if data[0] < 0x60 else b"\x86\xdd") + data


__all__ = [
    "ACK", "ANSWER", "CLOSE", "CLOSED", "DATA", "LAST", "OPEN", "OPENED", "RAW", "Kind", "Template", "frame", "packet",
    "transport", "wires",
]  # fmt: skip
