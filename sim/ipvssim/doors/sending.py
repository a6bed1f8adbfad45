"""Packets into a simulated table that others look at: a served kernel's (``unix:PATH``), or one in a file (``sim:FILE``).

A served kernel lives on: it keeps the connections, and its clock is the real one, so packets are given to it at their own
pace. A table in a file has no time of its own: packets are given to it at once, their time stamps move its clock, and it
keeps what the packets were counted as. Connections are no part of such a file.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ipvsnl.errors import LinkError
from ipvsnl.link.unix import UnixLink
from ipvssim.clock import SECOND
from ipvssim.doors.captures.files import Reader, opened
from ipvssim.doors.captures.links import completed, unwrap
from ipvssim.doors.captures.marks import Mark, mark_of
from ipvssim.doors.table_file import TableFile
from ipvssim.net.networks import ServedNetwork
from ipvssim.path.result import FORWARD, TO_HOST

_ONE_TICK = 2.0
"""Seconds after which every counter shows what came (the estimator's period)."""


class Timed(NamedTuple):
    """A packet from its IP header on, when it comes (microseconds), and its firewall mark."""

    when: int
    data: bytes
    mark: int


class Target(Protocol):
    """A table that takes packets."""

    keeps_connections: bool
    """Whether its connections outlive the sending."""

    def wait(self, until: int) -> None:
        """Let time pass, to so many microseconds after the beginning."""

    def receive(self, packet: Timed) -> tuple[str, bool]:
        """A packet comes in: its verdict, and whether it opened a connection."""

    def close(self) -> None:
        """The last packet has come."""


class Served:
    """A kernel that is served. ``hurried``: packets come one behind the other, whatever their times."""

    keeps_connections = True

    def __init__(self, path: str, on: str | None, *, hurried: bool) -> None:
        self._link = UnixLink(path)
        self._on, self._hurried = on, hurried
        self._began = time.monotonic()

    def wait(self, until: int) -> None:
        """See :class:`Target`."""
        if not self._hurried:
            time.sleep(max(self._began + until / SECOND - time.monotonic(), 0))

    def receive(self, packet: Timed) -> tuple[str, bool]:
        """See :class:`Target`; LinkError where it is refused."""
        for answer in self._link.ask(receive=packet.data.hex(), on=self._on, mark=packet.mark):
            return str(answer["verdict"]), bool(answer["opened"])
        raise LinkError(0, "no answer")

    def close(self) -> None:
        """See :class:`Target`."""
        self._link.close()


class Filed:
    """A table in a file, which is locked meanwhile, and written at the end."""

    keeps_connections = False

    def __init__(self, path: str | None, on: str | None) -> None:
        self._file = TableFile(path)
        self._on = on
        self._file.lock()
        try:
            self._kernel = self._file.load(network=ServedNetwork())
        except BaseException:
            self._file.unlock()
            raise
        self._began = self._kernel.clock.now

    def wait(self, until: int) -> None:
        """See :class:`Target`."""
        self._kernel.clock.advance_to(self._began + until)

    def receive(self, packet: Timed) -> tuple[str, bool]:
        """See :class:`Target`; LinkError where there is no such device."""
        try:
            result = self._kernel.receive(packet.data, self._on, packet.mark)
        except KeyError:
            raise LinkError(0, f"no device {self._on!r}") from None
        return result.verdict.value, result.opened

    def close(self) -> None:
        """See :class:`Target`."""
        try:
            self._kernel.advance(_ONE_TICK)
            self._file.save(self._kernel.namespace)
        finally:
            self._file.unlock()


class Sent:
    """What became of what was sent: ``packets``, how many connections they ``opened``, and how many had which verdict
    (``verdicts``, by the values of :class:`ipvssim.path.result.Verdict`)."""

    def __init__(self) -> None:
        self.packets = self.opened = 0
        self.verdicts: Counter[str] = Counter()

    def __str__(self) -> str:
        """``120 packets: 118 forwarded, 2 dropped; 40 connections opened``."""
        words = {FORWARD.value: "forwarded", TO_HOST.value: "for the director itself", "drop": "dropped"}
        parts = [f"{count:,} {words.get(verdict, verdict)}" for verdict, count in self.verdicts.most_common()]
        return f"{self.packets:,} packets: {', '.join(parts) or 'none'}; {self.opened:,} connections opened"


def target(name: str, on: str | None, *, hurried: bool) -> Target:
    """The table that ``unix:PATH``, ``sim`` or ``sim:FILE`` names; ValueError for another name, LinkError where it cannot be
    reached. ``on`` is the device by which packets come in; None is the one that their source is reached by."""
    kind, _, where = name.partition(":")
    if kind == "unix" and where:
        return Served(where, on, hurried=hurried)
    if kind == "sim" and where != ":memory:":
        return Filed(where or None, on)
    raise ValueError(f"{name!r} takes no packets: unix:PATH (ipvssim serve PATH), sim or sim:FILE does")


def send(to: str, packets: Iterable[Any], *, on: str | None = None, mark: int = 0) -> Sent:
    """Send packets through a simulated table, one behind the other, and say what became of them.

    ``to`` is ``unix:PATH`` (a kernel that ``ipvssim serve`` serves), ``sim`` or ``sim:FILE``. A packet is bytes from its IP
    header on, or a packet of scapy's. ``on`` is the device by which they come in (None: the one by which their source is
    reached), ``mark`` their firewall mark. ValueError for another target, and for what is no packet; LinkError where the
    table can't be reached, or refuses.
    """
    sent = Sent()
    into = target(to, on, hurried=True)
    try:
        give((Timed(0, _bytes(packet), mark) for packet in packets), into, sent)
    finally:
        into.close()
    return sent


def _bytes(packet: Any) -> bytes:
    if isinstance(packet, bytes | bytearray | memoryview):
        return bytes(packet)
    if not hasattr(packet, "payload"):
        raise ValueError(f"{packet!r:.200} is no packet: bytes, or a packet of scapy's")
    from ipvssim.net.scapy_packets import ip_bytes

    return ip_bytes(packet)


def give(packets: Iterable[Timed], into: Target, sent: Sent) -> None:
    """Give packets to a table, each at its time; ``sent`` counts, also where an exception ends it."""
    for packet in packets:
        into.wait(packet.when)
        verdict, opened_one = into.receive(packet)
        sent.packets += 1
        sent.verdicts[verdict] += 1
        sent.opened += opened_one


def captured(source: Path, marks: Iterable[Mark] = ()) -> Iterator[Timed]:
    """The IP packets of a capture, the first at time 0, whichever way they went there; OSError and CaptureError as
    :func:`ipvssim.doors.capture.play` has them."""
    rules = tuple(marks)
    first: int | None = None
    with opened(source) as stream:
        reader = Reader(stream, str(source))
        for frame in reader:
            link = unwrap(frame)
            if link is None:
                raise reader.wrong(f"of link type {frame.link}, which is not known", frame.number)
            if not link.data:
                continue
            data = completed(link.data) if frame.size > len(frame.data) else link.data
            first = frame.when if first is None else first
            yield Timed(max(frame.when - first, 0), data, mark_of(rules, data))
