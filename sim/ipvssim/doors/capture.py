"""A capture file given to a director: what comes in, with its times, and what leaves into another file.

A capture of a director's own wire has both directions in it. What its director sent is not given to the simulated one, but
compared with what that one sends (:mod:`ipvssim.doors.captures.sides`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ipvsnl._files import check_writable, whole
from ipvssim.doors.captures.counts import Captured
from ipvssim.doors.captures.express import Express
from ipvssim.doors.captures.files import CaptureError, Frame, Reader, check_distinct, opened
from ipvssim.doors.captures.links import ETHERNET as LINK_ETHERNET
from ipvssim.doors.captures.marks import Mark
from ipvssim.doors.captures.playing import Playing, Singly
from ipvssim.doors.captures.sides import Seen, Told
from ipvssim.path.result import Result

if TYPE_CHECKING:
    from ipvssim.doors.captures.links import Link
    from ipvssim.doors.captures.progress import Packets
    from ipvssim.lane import Lane
    from ipvssim.path.director import Director

_FILE_HEADER = Struct("<IHHiIII").pack
_MAGIC, _SNAPLEN = 0xA1B2C3D4, 262144


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
        packets: Singly
        with _written(target) as writer:
            if lane is not None and quick and told is None and noted is None:
                packets = Express(lane, reader, playing, writer)
            else:
                packets = Singly(reader, playing, writer)
            try:
                for _ in watched(packets) if watched is not None else packets:
                    pass
            finally:
                packets.end()
    return counts


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
