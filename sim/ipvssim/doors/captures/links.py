"""What stands before an IP packet on each kind of link (https://www.tcpdump.org/linktypes.html)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ipvssim.doors.captures.files import Frame

NULL, ETHERNET, LOOP, COOKED, COOKED2 = 0, 1, 108, 113, 276
RAW = (12, 14, 101, 228, 229)
_TAGS = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
_IP = frozenset((0x0800, 0x86DD))
_ARP = b"\x08\x06\0\x01\x08\0\x06\x04"
"""EtherType, and what follows for IPv4 over Ethernet."""
_PPPOE, _PPP = 0x8864, {0x0021, 0x0057}
_FAMILIES = frozenset((2, 10, 24, 28, 30))
"""AF_INET, and AF_INET6 as Linux, NetBSD, FreeBSD and macOS have it."""
_OUTGOING = 4
"""The packet type of cooked captures for what the host sent."""
_SHORTEST6 = 40


class Link(NamedTuple):
    """What the link tells of an IP packet: its bytes (empty: it is none), the link-layer addresses (empty: unknown), the
    interface, and "in" or "out" where the link says so."""

    data: bytes
    source: bytes = b""
    target: bytes = b""
    interface: str = ""
    direction: str = ""


def unwrap(frame: Frame) -> Link | None:
    """A frame's IP packet; None for a link type that is unknown."""
    reader = _READERS.get(frame.link)
    if reader is None:
        return None
    link = reader(frame.data)
    data = link.data
    if not data or data[0] >> 4 not in (4, 6):
        return link._replace(data=b"")
    return link._replace(
        data=data, interface=link.interface or frame.interface, direction=frame.direction or link.direction
    )


def announced(frame: Frame) -> tuple[bytes, bytes] | None:
    """The MAC and the IPv4 address that an ARP packet on Ethernet comes from."""
    data = frame.data
    if frame.link == ETHERNET and data[12:20] == _ARP and len(data) >= 32 and any(data[28:32]):
        return data[22:28], data[28:32]
    return None


def completed(data: bytes) -> bytes:
    """An IP packet of which the capture kept only the beginning, filled up with zeros to the length that it had."""
    if data[0] >> 4 == 4:
        length = int.from_bytes(data[2:4], "big") if len(data) >= 20 else 0
    else:
        length = int.from_bytes(data[4:6], "big") + _SHORTEST6 if len(data) >= _SHORTEST6 else 0
    return data.ljust(length, b"\0")


def _raw(data: bytes) -> Link:
    return Link(data)


def _ethernet(data: bytes) -> Link:
    return Link(_payload(data, 12), data[6:12], data[:6])


def _payload(data: bytes, at: int) -> bytes:
    """The IP packet behind the EtherType at ``at``, whatever tags, LLC or PPPoE stand between."""
    kind = int.from_bytes(data[at : at + 2], "big")
    while kind in _TAGS:
        at += 4
        kind = int.from_bytes(data[at : at + 2], "big")
    if kind <= 1500 and data[at + 2 : at + 8] == b"\xaa\xaa\x03\0\0\0":  # 802.3 with LLC and SNAP
        at += 8
        kind = int.from_bytes(data[at : at + 2], "big")
    if kind == _PPPOE:
        return data[at + 10 :] if int.from_bytes(data[at + 8 : at + 10], "big") in _PPP else b""
    return data[at + 2 :] if kind in _IP else b""


def _cooked(data: bytes) -> Link:
    direction = _direction(int.from_bytes(data[:2], "big"))
    size = min(int.from_bytes(data[4:6], "big"), 8)
    return Link(_payload(data, 14), data[6 : 6 + size], direction=direction)


def _cooked2(data: bytes) -> Link:
    if len(data) < 20:
        return Link(b"")
    kind = int.from_bytes(data[:2], "big")
    payload = data[20:] if kind in _IP else _payload(data[:2] + data[20:], 0) if kind in _TAGS else b""
    interface = str(int.from_bytes(data[4:8], "big"))
    return Link(payload, data[12 : 12 + min(data[11], 8)], interface=interface, direction=_direction(data[10]))


def _direction(kind: int) -> str:
    return "out" if kind == _OUTGOING else "in"


def _null(data: bytes) -> Link:
    """A family of four bytes, in the byte order of the machine that captured (0) or the network's (108)."""
    family = data[:4]
    known = {int.from_bytes(family, "big"), int.from_bytes(family, "little")} & _FAMILIES
    return Link(data[4:] if known else b"")


_READERS: dict[int, Callable[[bytes], Link]] = {
    ETHERNET: _ethernet, COOKED: _cooked, COOKED2: _cooked2, NULL: _null, LOOP: _null, **dict.fromkeys(RAW, _raw),
}  # fmt: skip
