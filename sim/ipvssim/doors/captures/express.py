"""A capture's packets by the express lane, a piece of the file at a time: those that are plain in C, the others one by one.

What becomes of them, and what is told of it, is what playing one by one gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, Final

from ipvssim.clock import SECOND
from ipvssim.doors.captures.frame import Frame
from ipvssim.doors.captures.playing import Playing, Singly
from ipvssim.doors.captures.shared import REASONS, Shared
from ipvssim.doors.captures.sides import Role
from ipvssim.lane.capture import CaptureRun
from ipvssim.lane.native import ffi
from ipvssim.lane.records import LINKS, Records
from ipvssim.net.network import ETHERNET
from ipvssim.net.networks import OpenNetwork
from ipvssim.path.result import FORWARD

if TYPE_CHECKING:
    from ipvssim.doors.captures.files import Reader
    from ipvssim.doors.captures.frame import Plain
    from ipvssim.lane.lane import Lane
    from ipvssim.path.result import Result

_COUNTS: Final = Struct("@13q")
_NONE: Final = bytes(_COUNTS.size)
_DIRECTIONS: Final = ("", "in", "out")
_SINGLY: Final = 7
_MANY: Final = 0.3
"""Where a larger share of a piece's packets is not plain, the lane is dearer than going one by one."""
_FAR: Final = 1 << 61
"""Microseconds; times of the lane are numbers of 64 bits."""


class Express(Singly):
    """A capture on its way by a lane. Going through it stops behind every piece."""

    def __init__(self, lane: Lane, reader: Reader, playing: Playing, writer: BinaryIO | None) -> None:
        super().__init__(reader, playing, writer)
        self.lane = lane
        self.records = Records(playing.began)
        self.shared = Shared(lane, playing.counts.flows, playing.began)
        self.shared.know(playing.sides)
        playing.sides.memory = self.shared
        self._network = playing.director.network
        self._plain: Plain | None = None
        self._singly = 0
        """How many pieces to come are played without the lane, since most packets of the last one were not plain."""
        if isinstance(self._network, OpenNetwork):
            counts = self.shared.seen.counts
            counts.mtu = counts.longest = playing.mtu

    def __iter__(self) -> Iterator[Express]:
        frames = iter(self.reader)
        while self._is_plain() or not self.reader.number:
            if self._plain is not None:
                for _ in self._pieces():
                    yield self
            frame = next(frames, None)
            if frame is None:
                return
            self.one(frame)
            yield self
        for frame in frames:
            self.one(frame)
            yield self

    def end(self) -> None:
        """As :meth:`Singly.end`."""
        self.took()
        self.shared.end()

    # --- pieces ---

    def _is_plain(self) -> bool:
        """Whether the lane can read what follows, and the next records are read so."""
        plain, first, file = self.reader.plain(), self.playing.first, self.records.file
        if plain is None or plain.link not in LINKS or abs(first or 0) > _FAR or self.playing.began > _FAR:
            self._plain = None
            return False
        if first is not None:
            file.begun, file.first = 1, first
        interface = self.shared.interface(plain.interface)
        self.records.alike(
            plain.order, blocks=plain.blocks, head=plain.head, parts=plain.parts, link=plain.link, offset=plain.offset,
            interface=interface,
        )  # fmt: skip
        self._plain = plain
        return True

    def _pieces(self) -> Iterator[None]:
        """Play pieces, up to the first record that is not plain, or that does not come whole."""
        window, records = self.reader.window, self.records
        while True:
            other = records.read(window.ahead, 0)
            if records.count:
                self._play()
                self.reader.passed(records.count, records.at, records.rows[records.count - 1].when)
                yield
            elif other or not window.fill():
                return

    def _play(self) -> None:
        if self._singly:
            self._singly -= 1
            for number in range(self.records.count):
                self.one(self.frame(number))
            return
        run = _Run(self)
        batch = run.done()
        self._singly = _SINGLY if run.left > len(batch) * _MANY else 0
        if self.writer is not None and len(batch.ends):
            bare = [self._network.devices[name].kind != ETHERNET for name in batch.devices]
            self.writer.write(self.records.written(batch, bare))

    def took(self) -> None:
        """What the lane decided since it was last asked is counted."""
        counts, seen = self.playing.counts, self.shared.seen
        found = _COUNTS.unpack_from(ffi.buffer(seen.counts, _COUNTS.size))
        if not any(found):
            return
        ffi.memmove(seen.counts, _NONE, len(_NONE))
        kinds, firsts = found[:4], found[4:8]
        for kind in sorted(REASONS, key=firsts.__getitem__):
            if kinds[kind]:
                counts.reasons[REASONS[kind]] += kinds[kind]
        for role, number in zip((Role.LEFT, Role.BACK, Role.AGAIN), found[8:11], strict=True):
            if number:
                counts.left[role] += number
        counts.received += sum(kinds)
        counts.sent += sum(kinds)
        if any(kinds):
            counts.verdicts[FORWARD.value] += sum(kinds)
        counts.cut += found[11]
        counts.merged += found[12]
        self.shared.take_new()

    # --- one by one ---

    def frame(self, number: int) -> Frame:
        """A record of the piece as a reader gives it."""
        plain, row = self._plain, self.records.rows[number]
        assert plain is not None
        data = self.reader.window.ahead[row.start : row.start + row.kept]
        place, direction = self.reader.number + number + 1, _DIRECTIONS[row.direction]
        return Frame(place, row.when, plain.link, data, row.size, plain.interface, direction)

    def alone(self, frame: Frame) -> Result | None:
        """As :meth:`Singly.alone`."""
        self.shared.begin()
        try:
            return self.playing.play(frame, self.reader)
        finally:
            self.shared.settle()
            if self.playing.widened and isinstance(self._network, OpenNetwork):
                self.shared.seen.counts.longest = min(device.mtu for device in self._network.devices.values())


class _Run(CaptureRun):
    """A piece's packets."""

    def __init__(self, express: Express) -> None:
        super().__init__(express.lane, express.records, express.shared.seen)
        self._express = express
        self.left = 0

    def _took(self) -> None:
        playing = self._express.playing
        self._express.took()
        playing.first = int(self.records.file.first)
        playing.counts.seconds = (self._state.now - playing.began) / SECOND

    def _received(self, number: int) -> Result | None:
        self.left += 1
        return self._express.alone(self._express.frame(number))

    def _is_other_network(self) -> bool:
        widened, self._express.playing.widened = self._express.playing.widened, False
        return widened
