"""Capture files from their parts: packets on every kind of link, in every format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack
from typing import NamedTuple

from tests.ipvssim import worlds as w

DIRECTOR, CLIENT_ROUTER = bytes.fromhex("02667788" + "99aa"), bytes.fromhex("023333333333")
RULES = "-A -t 203.0.113.1:80 -s rr\n-a -t 203.0.113.1:80 -r 10.0.0.10:8080 -m\n"
LINKS = (
    "ethernet",
    "vlan",
    "qinq",
    "snap",
    "pppoe",
    "cooked",
    "cooked2",
    "cooked2-vlan",
    "raw",
    "null",
    "null-big",
    "loop",
)
NUMBERS = {"cooked": 113, "cooked2": 276, "cooked2-vlan": 276, "raw": 101, "null": 0, "null-big": 0, "loop": 108}


class Wire(NamedTuple):
    """An IP packet where it was seen: microseconds, bytes, sender's and receiver's MAC, whether it went out."""

    when: int
    data: bytes
    source: bytes = CLIENT_ROUTER
    target: bytes = DIRECTOR
    out: bool = False
    interface: int = 0


def number(link: str) -> int:
    return NUMBERS.get(link, 1)


def frame(link: str, wire: Wire) -> bytes:
    """The packet as that link carries it."""
    four = wire.data[:1] < b"\x60"
    kind = b"\x08\x00" if four else b"\x86\xdd"
    direction = 4 if wire.out else 0
    cooked2 = pack("!HIHBB", 0, wire.interface, 1, direction, 6) + wire.source + b"\0\0"
    vlan = b"\x81\x00\x00\x07"
    before = {
        "ethernet": wire.target + wire.source + kind,
        "vlan": wire.target + wire.source + vlan + kind,
        "qinq": wire.target + wire.source + b"\x88\xa8\0\x05" + vlan + kind,
        "snap": wire.target + wire.source + pack("!H", len(wire.data) + 8) + b"\xaa\xaa\x03\0\0\0" + kind,
        "pppoe": wire.target + wire.source + b"\x88\x64\x11\0\0\1" + pack("!H", len(wire.data) + 2) + (
            b"\0\x21" if four else b"\0\x57"
        ),
        "cooked": pack("!HHH", direction, 1, 6) + wire.source + b"\0\0" + kind,
        "cooked2": kind + cooked2,
        "cooked2-vlan": b"\x81\x00" + cooked2 + b"\0\x07" + kind,
        "raw": b"",
        "null": pack("<I", 2 if four else 30),
        "null-big": pack(">I", 2 if four else 24),
        "loop": pack(">I", 2 if four else 10),
    }  # fmt: skip
    return before[link] + wire.data


def classic(
    link: str, wires: Iterable[Wire], *, order: str = "<", nano: bool = False, magic: int = 0, snaplen: int = 65535
) -> bytes:
    """A pcap file."""
    parts, number_ = (1000, 0xA1B23C4D) if nano else (1, magic or 0xA1B2C3D4)
    file = pack(order + "IHHiIII", number_, 2, 4, 0, 0, 65535, number(link))
    for wire in wires:
        whole = frame(link, wire)
        data = whole[:snaplen]
        file += pack(order + "IIII", wire.when // 1_000_000, wire.when % 1_000_000 * parts, len(data), len(whole))
        file += (bytes(8) if magic == 0xA1B2CD34 else b"") + data
    return file


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return pack(order + "II", kind, len(body) + 12) + body + pack(order + "I", len(body) + 12)


def option(order: str, code: int, value: bytes) -> bytes:
    return pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def pcapng(
    links: Sequence[str],
    wires: Iterable[Wire],
    *,
    order: str = "<",
    resolution: int = 6,
    offset: int = 0,
    kind: int = 6,
    snaplen: int = 65535,
) -> bytes:
    """A pcapng file with an interface a link; ``resolution`` is if_tsresol, ``kind`` 6, 3 (simple) or 2 (obsolete)."""
    file = block(order, 0x0A0D0D0A, pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    for index, link in enumerate(links):
        about = option(order, 2, f"eth{index}".encode()) + option(order, 9, bytes((resolution,)))
        about += option(order, 14, pack(order + "q", offset)) + option(order, 0, b"")
        file += block(order, 1, pack(order + "HHI", number(link), 0, 65535) + about)
    file += block(order, 5, bytes(12))  # statistics: nothing for us
    unit = 1 << (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    for wire in wires:
        whole = frame(links[wire.interface], wire)
        data = whole[:snaplen]
        ticks = (wire.when - offset * 1_000_000) * unit // 1_000_000
        stamp = (ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(whole))
        if kind == 6:
            flags = option(order, 2, pack(order + "I", 2 if wire.out else 0)) + option(order, 0, b"")
            file += block(
                order, 6, pack(order + "IIIII", wire.interface, *stamp) + data + bytes(-len(data) % 4) + flags
            )
        elif kind == 2:
            file += block(order, 2, pack(order + "HHIIII", wire.interface, 0, *stamp) + data)
        else:
            file += block(order, 3, pack(order + "I", len(data)) + data)
    return file


def session(start: int = 1_700_000_000_000_000) -> list[Wire]:
    """What comes to a director with RULES when a client opens and closes a connection: 5 packets in 40 ms."""
    reply = {"port": 8080, "to": 1024, "source": w.SERVER, "target": w.CLIENT}
    server = bytes.fromhex("022020202081")
    return [
        Wire(start, w.tcp(w.SYN)),
        Wire(start + 10_000, w.tcp(w.SYN | w.ACK, **reply), server),  # type: ignore[arg-type]
        Wire(start + 20_000, w.tcp(w.ACK)),
        Wire(start + 30_000, w.tcp(w.FIN | w.ACK, **reply), server),  # type: ignore[arg-type]
        Wire(start + 40_000, w.tcp(w.FIN | w.ACK)),
    ]
