"""A capture on the express lane (capture.c): what is known of its packets and flows, and a batch of them."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvssim.lane.batch import KNOWN, OPENED, REPLY, Batch
from ipvssim.lane.keeping import NO_TAG
from ipvssim.lane.native import ffi, lib
from ipvssim.lane.run import Run

if TYPE_CHECKING:
    from ipvssim.lane.lane import Lane
    from ipvssim.lane.records import Records

_ROW: Final = Struct("@6QqIIiHH7Bx")
_ENDLESS: Final = (1 << 63) - 1
VIRTUAL: Final = 1
TRANSLATED: Final = 2
DIRECT: Final = 3
TUNNEL: Final = 4
OWN_ADDRESS: Final = 5
OWN_MAC: Final = 6
SERVER_MAC: Final = 7
ADDRESS: Final = 8
CLIENT: Final = 9
"""What a number is known as (enum capture_known)."""
UNKNOWN: Final = 0
PLACE: Final = 1
MAC: Final = 2
TOLD: Final = 3
"""What the captured director used (enum capture_director)."""
NO_STATE: Final = 0xFF


class Row(NamedTuple):
    """A flow as the lane has it (struct capture_flow): what was counted, and seen, since it was last taken."""

    in_packets: int
    in_bytes: int
    back_packets: int
    back_bytes: int
    states: int
    place: int
    began: int
    client: int
    virtual: int
    server: int
    client_port: int
    virtual_port: int
    protocol: int
    kind: int
    state_count: int
    last_state: int
    director: int
    answers: int
    live: int

    def passed(self) -> list[int]:
        """The states that it came into, in their order."""
        return [self.states >> 4 * place & 15 for place in range(self.state_count)]


class Seen:
    """What is known of a capture's packets and flows. MemoryError where there is no room for more."""

    def __init__(self) -> None:
        self.handle = ffi.gc(lib.capture_new(), lib.capture_free)
        if not self.handle:
            raise MemoryError("a capture")
        if ffi.sizeof("struct capture_flow") != _ROW.size:
            raise RuntimeError("a flow of the lane has another size than here")
        self.counts = lib.capture_counts(self.handle)
        self.counts.mtu = self.counts.longest = _ENDLESS
        self._first = ffi.new("struct capture_first *")

    def note(self, kind: int, number: int, value: int | None = 0) -> None:
        """A number is known as that; None: no more."""
        if lib.capture_note(self.handle, kind << 56 | number, NO_TAG if value is None else value):
            raise MemoryError("what is known of a capture")

    def noted(self, kind: int, number: int) -> int | None:
        """What was noted; None: nothing."""
        found = int(lib.capture_noted(self.handle, kind << 56 | number))
        return None if found == NO_TAG else found

    def remember(self, print: bytes, when: int, interface: int, target: bytes, hops: int, flow: int | None) -> None:
        """A request came."""
        first = self._first
        first.when, first.interface, first.hops = when, interface, hops
        first.flow = NO_TAG if flow is None else flow
        first.has_target = len(target) == 6
        if first.has_target:
            ffi.memmove(first.target, target, 6)
        lib.capture_remember(self.handle, print, len(print), first)

    def recall(self, print: bytes) -> tuple[int, int, bytes, int, int | None] | None:
        """When a request came, by which interface, to whom, its lifetime and its flow; None: none like it came."""
        first = self._first
        if not lib.capture_recall(self.handle, print, len(print), first):
            return None
        target = bytes(ffi.buffer(first.target)) if first.has_target else b""
        return first.when, first.interface, target, first.hops, None if first.flow == NO_TAG else first.flow

    # --- flows, by their numbers from 0 ---

    def __len__(self) -> int:
        return int(lib.capture_flow_count(self.handle))

    def open(self) -> Any:
        """One more."""
        number = lib.capture_open(self.handle)
        if number == NO_TAG:
            raise MemoryError("the flows of a capture")
        return self.row(number)

    def row(self, number: int) -> Any:
        """A flow to be written."""
        return lib.capture_flows(self.handle)[number]

    def rows(self, first: int = 0, end: int | None = None) -> Iterator[Row]:
        """Flows from ``first`` on, up to ``end``, as they are."""
        count = (len(self) if end is None else end) - first
        if count > 0:
            place = lib.capture_flows(self.handle) + first
            yield from map(Row._make, _ROW.iter_unpack(ffi.buffer(place, count * _ROW.size)))

    def take(self, number: int) -> Row:
        """A flow, whose counts begin anew."""
        row = self.row(number)
        found = Row._make(_ROW.unpack(ffi.buffer(ffi.addressof(row))))
        if found.in_packets or found.back_packets or found.state_count:
            row.in_packets = row.in_bytes = row.back_packets = row.back_bytes = row.states = row.state_count = 0
        return found

    def look(self, lane: Lane) -> None:
        """Find out which flows' connections the lane keeps."""
        lib.capture_live(self.handle, lane.handle)


class CaptureRun(Run):
    """The packets of records on their way through a lane; :meth:`_received` is what plays one by the general way."""

    def __init__(self, lane: Lane, records: Records, seen: Seen) -> None:
        packed = records.packed
        super().__init__(lane, Batch(packed, lane.director.network, None), None, records.times)
        self.records, self.seen = records, seen

    def _go(self) -> int:
        stop = int(lib.capture_run(self.seen.handle, self._lane.handle, self._state, self.records.block))
        self._took()
        return stop

    def _took(self) -> None:
        """The lane has decided some."""


__all__ = ["KNOWN", "OPENED", "REPLY", "CaptureRun", "Row", "Seen"]
