"""A capture file given to a director: its packets in, with their times, and what leaves into another file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

from scapy.utils import RawPcapNgReader, RawPcapReader

from ipvsnl._files import whole
from ipvssim.clock import SECOND
from ipvssim.net.network import ETHERNET, ether_type, framed

if TYPE_CHECKING:
    from ipvssim.net.network import Network
    from ipvssim.path.director import Director
    from ipvssim.path.result import Result

LINK_ETHERNET, LINKS_RAW = 1, frozenset((12, 14, 101, 228, 229))
_FILE_HEADER = Struct("<IHHiIII").pack
_RECORD = Struct("<IIII").pack
_MAGIC, _SNAPLEN = 0xA1B2C3D4, 262144


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
    with whole(target) if target is not None else nullcontext() as writer:
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
                    _write(writer, result, when, director.network)
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
    name = on if on is not None else director.network.came_by(bare)
    device = director.network.devices[name]
    if device.kind != ETHERNET:
        return director.receive(bare, name)
    if link != LINK_ETHERNET:
        data = framed(bare, device)
    return director.receive(data, name)


def _count(counts: Captured, result: Result) -> None:
    counts.received += 1
    counts.sent += len(result.out)
    counts.verdicts[result.verdict.value] += 1
    counts.reasons[result.reason] += 1


def _write(writer: BinaryIO, result: Result, when: int, network: Network) -> None:
    for device, data in result.out:
        frame = data if network.devices[device].kind == ETHERNET else bytes(12) + ether_type(data) + data
        writer.write(_RECORD(when // SECOND, when % SECOND, len(frame), len(frame)) + frame)
