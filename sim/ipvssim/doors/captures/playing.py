"""One run of one capture: each frame is played, compared, or only counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

from ipvssim.clock import SECOND
from ipvssim.doors.captures.answers import from_server, from_virtual
from ipvssim.doors.captures.links import announced, completed, unwrap
from ipvssim.doors.captures.marks import Mark, mark_of
from ipvssim.doors.captures.sides import Role, Seen, Sides, Told
from ipvssim.net.network import ETHERNET, RAW, ether_type, framed
from ipvssim.net.networks import OpenNetwork
from ipvssim.net.packets import WITH_PORTS, sign4
from ipvssim.path.result import HELD, Result

if TYPE_CHECKING:
    from ipvssim.doors.captures.counts import Captured
    from ipvssim.doors.captures.files import Frame, Reader
    from ipvssim.doors.captures.links import Link
    from ipvssim.net.network import Network
    from ipvssim.path.director import Director

_RECORD = Struct("<IIII").pack
_U32 = 0xFFFFFFFF
_LARGEST_MTU = 65535


class Playing:
    """A capture on its way to a director; ``counts`` is what became of it so far."""

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


class Singly:
    """A capture's frames on their way, one by one: going through them plays them, and writes what left."""

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
            self.one(frame)
            yield frame

    def one(self, frame: Frame) -> None:
        """Play it, and write what left."""
        result = self.alone(frame)
        if result is not None and self.writer is not None:
            self.playing.write(self.writer, result, frame.when)

    def alone(self, frame: Frame) -> Result | None:
        """What becomes of a frame by itself."""
        return self.playing.play(frame, self.reader)

    def end(self) -> None:
        """Let everything that was counted be told, also where it ended early."""


def _widen(network: Network) -> None:
    """A packet is longer than any that a wire carries: the network card merges what comes in, and cuts what leaves."""
    for device in network.devices.values():
        if device.kind in (ETHERNET, RAW):
            device.mtu = _LARGEST_MTU
    network.changed()
