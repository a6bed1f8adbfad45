"""Packets of a capture file: the classic pcap format, with IP packets as they are or in Ethernet frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from ipvssim.lab.scenario.reader import ScenarioError

_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1), b"\xa1\xb2\xc3\xd4": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1000), b"\xa1\xb2\x3c\x4d": (">", 1000),
}  # fmt: skip
_ETHERNET, _RAW, _RAW_TOO, _COOKED = 1, 101, 12, 113
_HEADS = {_ETHERNET: 14, _RAW: 0, _RAW_TOO: 0, _COOKED: 16}
_IP = (4, 6)


def packets(path: str) -> Iterator[tuple[int, bytes]]:
    """Microseconds since the first packet, and the IP packet; what is no IP, or was cut, is left out."""
    try:
        data = Path(path).read_bytes()
    except OSError as wrong:
        raise ScenarioError(f"{path}: {wrong.strerror}") from wrong
    found = _MAGIC.get(data[:4])
    if found is None or len(data) < 24:
        raise ScenarioError(f"{path}: no pcap file (pcapng is not read: tcpdump -r FILE -w NEW rewrites one)")
    order, nano = found
    head = _HEADS.get(Struct(order + "I").unpack_from(data, 20)[0] & 0xFFFF)
    if head is None:
        raise ScenarioError(f"{path}: neither Ethernet nor bare IP packets")
    record = Struct(order + "IIII")
    at, first = 24, None
    while at + 16 <= len(data):
        seconds, fraction, kept, size = record.unpack_from(data, at)
        body = data[at + 16 + head : at + 16 + kept]
        at += 16 + kept
        when = seconds * 1_000_000 + fraction // nano
        if body and body[0] >> 4 in _IP and kept == size:
            first = when if first is None else first
            yield max(when - first, 0), body
