"""Scapy packets and capture files, in and out. The only module that imports scapy; the bytes path never does.

result = director.receive(IP(dst="203.0.113.1") / TCP(dport=80), on="client")
result.packets          # what left, as scapy packets; packet.sniffed_on names the device
result.explain()        # and why
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

from scapy.compat import raw
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as ScapyPacket
from scapy.utils import RawPcapNgReader, RawPcapReader

from ipvssim.clock import SECOND
from ipvssim.network import ETHERNET

if TYPE_CHECKING:
    from ipvssim.director import Director
    from ipvssim.network import Device, Network
    from ipvssim.result import Result

LINK_ETHERNET, LINKS_RAW = 1, frozenset((12, 14, 101, 228, 229))
_FILE_HEADER = Struct("<IHHiIII").pack
_RECORD = Struct("<IIII").pack
_MAGIC, _SNAPLEN = 0xA1B2C3D4, 262144
_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}


def packet_bytes(packet: ScapyPacket, device: Device) -> bytes:
    """A scapy packet as the device would deliver it: without its Ethernet header on a raw one; with one, addressed to the
    director, where an Ethernet device is given a bare IP packet."""
    if isinstance(packet, Ether):
        return raw(packet) if device.kind == ETHERNET else raw(packet.payload)
    data = raw(packet)
    return _framed(data, device) if device.kind == ETHERNET else data


def _framed(data: bytes, device: Device) -> bytes:
    """A bare IP packet in a frame to the director."""
    return device.mac + bytes(6) + _TYPES.get(data[0] >> 4 if data else 0, b"\0\0") + data


def packets(result: Result) -> list[ScapyPacket]:
    """What left, as scapy packets: with their Ethernet header where they have one, ``sniffed_on`` the device's name."""
    made = []
    for device, data in result.out:
        if _has_header(result, device):
            packet: ScapyPacket = Ether(data)
        else:
            packet = IPv6(data) if data[0] >> 4 == 6 else IP(data)
        packet.sniffed_on = device
        made.append(packet)
    return made


class Captured:
    """Counts of a capture that was played: packets in and out, verdicts, reasons."""

    def __init__(self) -> None:
        self.received = self.sent = 0
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()


def play(
    director: Director,
    source: Path,
    target: Path | None = None,
    *,
    on: str | None = None,
    told: Callable[[Result], object] | None = None,
) -> Captured:
    """Give a capture (pcap or pcapng) to a director, its time stamps moving the clock, and write what leaves to ``target``.

    Packets come in on device ``on``, or on the one their source is reached by. ``target`` is an Ethernet capture; what left
    on a raw device has zero addresses there. ``told`` is called with every result. OSError for files, ValueError for a
    capture whose link type is neither Ethernet nor raw IP.
    """
    counts = Captured()
    clock = director.clock
    began = clock.now
    first: int | None = None
    writer = target.open("wb") if target is not None else None
    try:
        if writer is not None:
            writer.write(_FILE_HEADER(_MAGIC, 2, 4, 0, 0, _SNAPLEN, LINK_ETHERNET))
        with RawPcapReader(str(source)) as reader:
            for data, meta in reader:
                when, link = _stamp(reader, meta)
                first = when if first is None else first
                clock.advance_to(began + max(when - first, 0))
                result = _given(director, data, link, on)
                _count(counts, result)
                if told is not None:
                    told(result)
                if writer is not None:
                    _write(writer, result, when)
    finally:
        if writer is not None:
            writer.close()
    return counts


def _stamp(reader: RawPcapReader, meta: object) -> tuple[int, int]:
    """A record's time in microseconds and its link type."""
    if isinstance(reader, RawPcapNgReader):
        ticks = getattr(meta, "tshigh", 0) << 32 | getattr(meta, "tslow", 0)
        return ticks * SECOND // int(getattr(meta, "tsresol", SECOND) or SECOND), int(getattr(meta, "linktype", 1))
    fraction = int(getattr(meta, "usec", 0)) // (1000 if reader.nano else 1)
    return int(getattr(meta, "sec", 0)) * SECOND + fraction, int(reader.linktype)


def _given(director: Director, data: bytes, link: int, on: str | None) -> Result:
    if link == LINK_ETHERNET:
        bare = data[14:]
    elif link in LINKS_RAW:
        bare = data
    else:
        raise ValueError(f"a capture of link type {link}: Ethernet and raw IP can be played")
    name = on if on is not None else _came_by(director.network, bare)
    device = director.network.devices[name]
    if device.kind != ETHERNET:
        return director.receive(bare, name)
    if link != LINK_ETHERNET:
        data = _framed(bare, device)
    return director.receive(data, name)


def _came_by(network: Network, data: bytes) -> str:
    """The device by which a packet's source is reached: where it must have come in."""
    four = data[:1] < b"\x60"
    source = data[12:16] if four else data[8:24]
    if len(source) == (4 if four else 16):
        device = network.path(source).device
        if device is not None and device.name != "lo":
            return device.name
    return next(name for name in network.devices if name != "lo")


def _count(counts: Captured, result: Result) -> None:
    counts.received += 1
    counts.sent += len(result.out)
    counts.verdicts[result.verdict.value] += 1
    counts.reasons[result.reason] += 1


def _write(writer: BinaryIO, result: Result, when: int) -> None:
    for device, data in result.out:
        frame = data if _has_header(result, device) else bytes(12) + _TYPES.get(data[0] >> 4, b"\0\0") + data
        writer.write(_RECORD(when // SECOND, when % SECOND, len(frame), len(frame)) + frame)


def _has_header(result: Result, device: str) -> bool:
    return result.network is not None and result.network.devices[device].kind == ETHERNET
