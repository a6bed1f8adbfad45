"""A capture file given to a director: what comes in, with its times, and what leaves into another file.

A capture of a director's own wire has both directions in it. What its director sent is not given to the simulated one, but
compared with what that one sends (:mod:`ipvssim.doors.captures.sides`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ipvsnl._files import check_writable, whole
from ipvssim.clock import SECOND
from ipvssim.doors.captures.answers import from_server, from_virtual
from ipvssim.doors.captures.express import Express
from ipvssim.doors.captures.files import CaptureError, Frame, Reader, check_distinct, opened
from ipvssim.doors.captures.flows import Flows
from ipvssim.doors.captures.links import ETHERNET as LINK_ETHERNET
from ipvssim.doors.captures.links import announced, completed, unwrap
from ipvssim.doors.captures.marks import Mark, mark_of
from ipvssim.doors.captures.sides import Role, Seen, Sides, Told
from ipvssim.net.network import ETHERNET, RAW, ether_type, framed
from ipvssim.net.networks import OpenNetwork
from ipvssim.net.packets import WITH_PORTS, sign4
from ipvssim.path.result import HELD, Result

if TYPE_CHECKING:
    from ipvssim.doors.captures.links import Link
    from ipvssim.doors.captures.progress import Packets
    from ipvssim.lane import Lane
    from ipvssim.net.network import Network
    from ipvssim.path.director import Director

_FILE_HEADER = Struct("<IHHiIII").pack
_RECORD = Struct("<IIII").pack
_MAGIC, _SNAPLEN, _U32 = 0xA1B2C3D4, 262144, 0xFFFFFFFF
_LARGEST_MTU = 65535


class Captured:
    """What became of a capture that was played: packets in and out, verdicts, reasons, flows; as far as it was read.

    ``left`` counts, by :class:`ipvssim.doors.captures.sides.Role`, packets that were not played since they are none that
    came in; ``other`` those that carry no IP; ``cut`` those of which the capture kept only the beginning; ``merged`` those
    that were longer than the devices' MTU, since the network card had merged them; ``turned`` answers of another server than
    the simulated director chose, which were given to it as from its own; ``restored`` answers that the capture shows only
    where they left for a client, which were given to it as their server had sent them.
    """

    def __init__(self) -> None:
        self.received = self.sent = self.other = self.cut = self.merged = self.turned = self.restored = 0
        self.seconds = 0.0
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.left: Counter[Role] = Counter()
        self.flows = Flows()


def play(
    director: Director,
    source: Path,
    target: Path | None = None,
    *,
    on: str | None = None,
    told: Callable[[Result], object] | None = None,
    noted: Callable[[str], object] | None = None,
    sides: Told | None = None,
    marks: Iterable[Mark] = (),
    counts: Captured | None = None,
    watched: Callable[[Packets], Iterable[object]] | None = None,
    lane: Lane | None = None,
) -> Captured:
    """Give a capture to a director, its time stamps moving the clock, and write what leaves to ``target``.

    ``source`` is pcap or pcapng of any usual link type, "-" is standard input. Packets come in on device ``on``, or on the
    one their source is reached by. ``target`` is an Ethernet capture that appears whole, in the end; what left on a raw
    device has zero addresses there. ``told`` is called with every result, ``noted`` with a line about every packet that was
    not played. ``sides`` is what is known of the capture's two sides, ``marks`` give packets firewall marks. ``counts`` is
    filled while packets are read, also where an exception ends that; ``watched`` stands between the packets and whoever goes
    through them. ``lane`` is the director's express lane, by which plain packets go where nobody wants to be told of each.

    OSError for files, :class:`ipvssim.doors.captures.files.CaptureError` (a ValueError) for what can't be read.
    """
    counts = counts if counts is not None else Captured()
    if target is not None:
        target = Path(os.path.realpath(target))  # a link stays one; a circle of links is an OSError below
        check_distinct(source, target)
        check_writable(target)
    with opened(source) as stream:
        reader = Reader(stream, str(source))
        playing = Playing(director, counts, on, sides or Told(), tuple(marks))
        playing.told, playing.noted = told, noted
        quick = lane is not None and lane.handle is not None and playing.sides.told == Told() and not playing.marks
        packets: Express | _Frames
        with _written(target) as writer:
            if lane is not None and quick and told is None and noted is None:
                packets = Express(lane, reader, playing, writer)
            else:
                packets = _Frames(reader, playing, writer)
            try:
                for _ in watched(packets) if watched is not None else packets:
                    pass
            finally:
                packets.end()
    return counts


class _Frames:
    """A capture's frames on their way, one by one: going through them plays them."""

    def __init__(self, reader: Reader, playing: Playing, writer: BinaryIO | None) -> None:
        self.reader, self.playing, self.writer = reader, playing, writer

    @property
    def number(self) -> int:
        """The last packet's."""
        return self.reader.number

    @property
    def position(self) -> int:
        """How many bytes of the file were read."""
        return self.reader.position

    def __iter__(self) -> Iterator[object]:
        for frame in self.reader:
            result = self.playing.play(frame, self.reader)
            if result is not None and self.writer is not None:
                self.playing.write(self.writer, result, frame.when)
            yield frame

    def end(self) -> None:
        """All that was counted is told already."""


class Arrived(NamedTuple):
    """A packet of a capture as its device carries it: bytes, the device, the firewall mark."""

    data: bytes
    on: str
    mark: int


def until(
    director: Director, source: Path, number: int, *, on: str | None = None, marks: Iterable[Mark] = ()
) -> Arrived:
    """Give the packets of a capture before packet ``number`` (from 1) to a director, move its clock to that packet's time,
    and return that one, which is not given to it. ValueError where there is no such packet, or it is none that came in."""
    with opened(source) as stream:
        reader = Reader(stream, str(source))
        playing = _Until(director, Captured(), on, Told(), tuple(marks))
        seen = 0
        for frame in reader:
            seen = frame.number
            if seen == number:
                playing.found = Arrived(b"", "", 0)
            playing.play(frame, reader)
            if seen == number:
                break
    if playing.found is None:
        raise ValueError(f"{source}: there is no packet {number}, it ends with packet {seen}")
    if not playing.found.on:
        raise ValueError(f"{source}: packet {number} is none that came in: {playing.why or 'no IP packet'}")
    return playing.found


class Playing:
    """One run of one capture."""

    told: Callable[[Result], object] | None = None
    noted: Callable[[str], object] | None = None
    widened = False
    """Whether a packet was so long that the devices' MTU was raised."""

    def __init__(
        self, director: Director, counts: Captured, on: str | None, told: Told, marks: tuple[Mark, ...]
    ) -> None:
        self.director, self.counts, self.on, self.marks = director, counts, on, marks
        self.sides = Sides(director.table, told)
        self.began = director.clock.now
        self.mtu = min(device.mtu for device in director.network.devices.values())
        self.first: int | None = None
        counts.flows.direct = self.sides.direct
        for mac, address in told.servers:
            counts.flows.learn(mac, address)

    def play(self, frame: Frame, reader: Reader) -> Result | None:
        """One frame: played, compared, or only counted. What became of it; None: it was not given to the director."""
        link = unwrap(frame)
        if link is None:
            raise reader.wrong(f"of link type {frame.link}, which is not known", frame.number)
        self.first = frame.when if self.first is None else self.first
        self.director.clock.advance_to(self.began + max(frame.when - self.first, 0))
        self.counts.seconds = (self.director.clock.now - self.began) / SECOND
        data = link.data
        if not data:
            self._other(frame)
            return None
        if frame.size > len(frame.data):
            self.counts.cut += 1
            data = completed(data)
        mark = mark_of(self.marks, data)
        seen = self.sides.see(data, link, frame.when, mark)
        if seen is not None and seen.role is Role.BACK:
            answer = from_virtual(data, seen.packet, self.sides.answered(seen.packet))
            if answer is not None:
                self.counts.restored += 1
                return self._came(answer, seen, link, frame, 0)
        if seen is not None and seen.role is not Role.CAME:
            self._compare(seen, link, frame)
            return None
        return self._came(data, seen, link, frame, mark)

    def _other(self, frame: Frame) -> None:
        found = announced(frame)
        if found is not None and found[1] in self.sides.direct:
            self.counts.flows.learn(*found)
        self.counts.other += 1
        if self.noted is not None:
            self.noted(f"packet {frame.number}: no IP packet")

    def _compare(self, seen: Seen, link: Link, frame: Frame) -> None:
        """What is none that came in: which server it says was chosen."""
        self.counts.left[seen.role] += 1
        flow = seen.flow
        if seen.role is Role.LEFT and flow is not None and flow.director is None:
            if seen.server is not None:
                flow.director = seen.server
            elif self.sides.direct and len(link.target) == 6:
                flow.director = link.target
        if self.noted is not None:
            of = f", of flow {flow.number}" if flow is not None else ""
            self.noted(f"packet {frame.number}: not played, {seen.role.value}{of}")

    def _came(self, data: bytes, seen: Seen | None, link: Link, frame: Frame, mark: int) -> Result:
        counts, sides = self.counts, self.sides
        if data[0] >> 4 == 4 and data[10:12] == b"\0\0":  # left to a network card that came after the capture
            start = (data[0] & 15) * 4
            data = sign4(data[:start]) + data[start:] if 20 <= start <= len(data) else data
        request = seen is not None and bool(seen.print)
        if seen is not None and not request:
            mark = 0 if sides.answered(seen.packet) is not None else mark
            if seen.packet.source in sides.direct and len(link.source) == 6:
                counts.flows.learn(link.source, seen.packet.source)
            if seen.packet.source in sides.translated:
                answer = from_server(data, seen.packet, sides.answered(seen.packet), self.director)
                counts.turned += answer is not data
                data = answer
        result = self._given(data, mark)
        counts.received += 1
        counts.sent += len(result.out)
        counts.verdicts[result.verdict.value] += 1
        counts.reasons[result.reason] += 1
        if seen is not None:
            self._account(seen, link, frame, result, request=request)
        if self.told is not None:
            self.told(result)
        return result

    def write(self, writer: BinaryIO, result: Result, when: int) -> None:
        """What left of a packet, as it came at that time."""
        for device, data in result.out:
            bare = self.director.network.devices[device].kind != ETHERNET
            frame = bytes(12) + ether_type(data) + data if bare else data
            seconds = min(max(when // SECOND, 0), _U32)
            writer.write(_RECORD(seconds, when % SECOND, len(frame), len(frame)) + frame)

    def _account(self, seen: Seen, link: Link, frame: Frame, result: Result, *, request: bool) -> None:
        packet, flow = result.packet, None
        if packet is None or result.verdict is HELD:
            pass
        elif not request:
            self.counts.flows.reply(packet, result)
        elif result.connection is not None or (packet.protocol in WITH_PORTS and packet.key):
            flow = self.counts.flows.request(packet, result, round(self.counts.seconds * SECOND))
            if flow.director is None and self.counts.flows.macs.get(link.target):  # seen on its server's wire alone
                flow.director = link.target
        if request:
            self.sides.came(seen, link, frame.when, flow)

    def _given(self, data: bytes, mark: int) -> Result:
        return self.director.receive(*self._on_device(data), mark)

    def _on_device(self, data: bytes) -> tuple[bytes, str]:
        """The packet as the device by which it comes in carries it, and that device."""
        network = self.director.network
        name = self.on if self.on is not None else network.came_by(data)
        device = network.devices[name]
        if len(data) > self.mtu and isinstance(network, OpenNetwork):
            self.counts.merged += 1
            if len(data) > device.mtu:
                _widen(network)
                self.widened = True
        return framed(data, device) if device.kind == ETHERNET else data, name


class _Until(Playing):
    """A run up to one packet: once ``found`` is set, what would be given to the director is kept there."""

    found: Arrived | None = None
    why = ""

    def _given(self, data: bytes, mark: int) -> Result:
        if self.found is None:
            return super()._given(data, mark)
        self.found = Arrived(*self._on_device(data), mark)
        return Result()

    def _compare(self, seen: Seen, link: Link, frame: Frame) -> None:
        super()._compare(seen, link, frame)
        self.why = seen.role.value


def _widen(network: Network) -> None:
    """A packet is longer than any that a wire carries: the network card merges what comes in, and cuts what leaves."""
    for device in network.devices.values():
        if device.kind in (ETHERNET, RAW):
            device.mtu = _LARGEST_MTU
    network.changed()


@contextmanager
def _written(target: Path | None) -> Iterator[BinaryIO | None]:
    """An Ethernet capture that takes its name when it is whole. OSError names the file."""
    if target is None:
        yield None
        return
    try:
        with whole(target) as writer:
            writer.write(_FILE_HEADER(_MAGIC, 2, 4, 0, 0, _SNAPLEN, LINK_ETHERNET))
            yield writer
    except OSError as wrong:
        raise OSError(wrong.errno, wrong.strerror, str(target)) from wrong


__all__ = ["Arrived", "CaptureError", "Captured", "play", "until"]
