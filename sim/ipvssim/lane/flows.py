"""Flows through a lane: who comes when, as columns, decided in C up to whatever else happens; and where each flow went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvssim.lane.native import ffi, lib

if TYPE_CHECKING:
    from ipvssim.lane.lane import Lane
    from ipvssim.path.result import Result
    from ipvssim.state.services import RealServer

UNKNOWN: Final = 0
FIRST: Final = 1
FURTHER: Final = 2
ANSWER: Final = 3
"""What a packet is to its flow: of no kind that the lane has; to open it; a later one; its server's."""
KINDS: Final = 16
"""Kinds of packets of a stream."""
_LAST: Final = (1 << 63) - 1
_FEW: Final = 500
_SHARE: Final = 4
"""A lane is of no use where more than few packets, and more than one in so many that it decides, go the general way: each of
those costs there about as much again, which is what some others save."""


class Shape(NamedTuple):
    """All packets of one kind: the virtual address as a number, its port, the length of the IP packet, its protocol, its
    lifetime, TCP's flags (else 0), and what it is to its flow (:data:`FIRST` and so on)."""

    address: int = 0
    port: int = 0
    length: int = 0
    protocol: int = 0
    hops: int = 0
    flags: int = 0
    part: int = UNKNOWN


class Columns:
    """Flows, and what is written of each: anything with a buffer, of the type that is named.

    ``clients`` (uint32, their addresses), ``ports`` (uint16), ``streams`` (uint16; None where there is one). Written are
    ``placed`` (int32, the caller's number of its server, -1 before), ``fresh`` and ``gone`` (uint8: whether it was opened;
    not 0 where its client sends nothing more). ``shapes`` has, of each stream, up to :data:`KINDS` kinds of packets.
    """

    def __init__(
        self, clients: Any, ports: Any, streams: Any, placed: Any, fresh: Any, gone: Any,
        shapes: Sequence[Sequence[Shape]],
    ) -> None:  # fmt: skip
        rows = [[*kinds, *[Shape()] * (KINDS - len(kinds))] for kinds in shapes]
        self.views = {"shapes": ffi.new("struct lane_shape[]", [tuple(shape) for kinds in rows for shape in kinds])}
        self.views |= _views(
            ("clients", "uint32_t", clients), ("ports", "uint16_t", ports), ("streams", "uint16_t", streams),
            ("placed", "int32_t", placed), ("fresh", "uint8_t", fresh), ("gone", "uint8_t", gone),
        )  # fmt: skip
        self.ends = {
            (shape.address, shape.port, shape.protocol) for kinds in shapes for shape in kinds if shape.part == FIRST
        }


def _views(*columns: tuple[str, str, Any]) -> dict[str, Any]:
    """Columns as C sees them: name, type and buffer of each, or None."""
    return {name: ffi.from_buffer(f"{kind}[]", column) for name, kind, column in columns if column is not None}


class Packets(NamedTuple):
    """What comes to one director, in order: ``times`` (int64, microseconds), ``kinds`` (uint8), ``flows`` (int32)."""

    times: Any
    kinds: Any
    flows: Any


class Servers(NamedTuple):
    """The caller's servers, by its numbers: address and port, whether it answers nothing; and the number of each."""

    addresses: Sequence[int]
    ports: Sequence[int]
    dead: Sequence[bool]
    numbers: dict[RealServer, int]


class Passage:
    """Flows on their way through the lane of one director. ``left`` takes a packet that is not plain, by its number, the
    general way. ``unanswered`` and ``lost`` are written to ``gone`` where a dead server gets the packet that
    opens a flow, or another one."""

    def __init__(
        self, lane: Lane, columns: Columns, packets: Packets, left: Callable[[int], Result | None], *, unanswered: int,
        lost: int,
    ) -> None:  # fmt: skip
        self._lane = lane
        self._clock = lane.director.clock
        self._columns = columns
        self._packets = packets
        self._left = left
        self._state = ffi.new("struct lane_flows *")
        self._seen = columns.views | _views(
            ("times", "int64_t", packets.times),
            ("kinds", "uint8_t", packets.kinds),
            ("flows", "int32_t", packets.flows),
        )
        self._servers: list[Any] = []
        for name, view in self._seen.items():
            setattr(self._state, name, view)
        self._state.unanswered, self._state.lost = unanswered, lost
        self._aside = self._events = self._known = self._given = 0
        self.decided = 0
        """How many packets the lane has decided, those included that never came since their clients were refused."""
        self._going = False

    def begin(self, servers: Servers) -> bool:
        """Be as the director's table is now, and go on from there. False: the lane can't decide about these flows just now,
        or it is of no use to them, since most go the general way. MemoryError."""
        lane, state = self._lane, self._state
        if self._is_useless() or not lane.begin(forgets=True):
            return False
        known = [one is None or one in servers.numbers for one in lane.mirror.servers]
        if not all(known) or not all(lane.mirror.picks(*end) for end in self._columns.ends):
            lane.gather()
            lane.end()
            return False
        numbers = [-1 if one is None else servers.numbers[one] for one in lane.mirror.servers]
        self._servers = [
            ffi.new("int32_t[]", numbers or 1), ffi.new("uint8_t[]", list(servers.dead) or 1),
            ffi.new("uint32_t[]", servers.addresses or 1), ffi.new("uint16_t[]", servers.ports or 1),
        ]  # fmt: skip
        state.numbers, state.dead, state.addresses, state.server_ports = self._servers
        self._known = len(numbers)
        lane.timer.cancel()  # whoever lets time pass here lets connections expire
        state.now = self._clock.now
        state.event = min(self._clock.next_event, _LAST)
        self._going, self._given = True, lane.given
        return True

    def go(self, start: int, stop: int) -> None:
        """The packets from one number to another. The table is not as the lane has it before :meth:`settle` or :meth:`end`.
        MemoryError."""
        state = self._state
        state.at, state.stop = start, stop
        while self._going:
            before = state.at
            stopped = lib.lane_pass(self._lane.handle, state)
            self.decided += state.at - before
            if stopped == lib.LANE_DONE:
                return
            if stopped == lib.LANE_FULL:
                raise MemoryError("the connections of the lane")
            if stopped == lib.LANE_LEFT:
                self._going = self._leave()
            else:
                self._going = self._wait(int(self._packets.times[state.at]))
        for at in range(state.at, stop):
            self._left(at)

    def pass_to(self, when: int) -> None:
        """Let time pass, to a moment in microseconds; the table is not yet as the lane has it then."""
        if self._going:
            self._going = self._wait(when)
        self._clock.advance_to(when)

    def settle(self) -> None:
        """Let the table be as the lane has it."""
        if self._going:
            self._lane.mirror.write_back()

    def add_loads(self, opened: Any, active: Any, inactive: Any, packets: Any) -> None:
        """Add what the lane has counted since its servers were handed in, and their loads, to columns (int64, by the
        caller's numbers)."""
        columns = [ffi.from_buffer("int64_t[]", column) for column in (opened, active, inactive, packets)]
        lib.lane_sample(self._lane.handle, self._state.numbers, self._known, *columns)

    @property
    def stirred(self) -> int:
        """How often others than the lane have changed what is counted, or the servers were handed in again."""
        return self._aside + self._events + self._lane.begun

    def counted(self) -> tuple[int, int]:
        """How many flows met an old connection with their first packet, and how many were opened once more, since this was
        asked last."""
        state = self._state
        found = int(state.reused), int(state.reopened)
        state.reused = state.reopened = 0
        return found

    @property
    def going(self) -> bool:
        """Whether the lane decides, everything is as it has left it, and it is of use."""
        return self._going and self._given == self._lane.given and not self._is_useless()

    def end(self) -> None:
        """Let the table be as the lane has it, and whoever looks for connections find them."""
        lane = self._lane
        if self._going:
            self._going = False
            lane.mirror.write_back()
            self._clock.advance_to(self._state.now)
            lane.wait()
        lane.end()

    # --- inside ---

    def _is_useless(self) -> bool:
        """Whether so many packets go the general way that they cost more than the lane saves."""
        return self._aside > _FEW and self._aside * _SHARE > self.decided

    def _leave(self) -> bool:
        """The packet at hand goes the general way."""
        state, self._aside = self._state, self._aside + 1
        self._lane.mirror.write_back()
        goes_on = self._lane.meanwhile(partial(self._left, state.at))
        state.at += 1
        return self._goes_on(goes_on)

    def _wait(self, when: int) -> bool:
        """Time passes, and what falls due on the way happens. Connections of the lane's expire after the others of their
        jiffy, which makes no difference to either."""
        lane, clock, handle = self._lane, self._clock, self._lane.handle
        while (event := clock.next_event) * clock.jiffy <= when:
            self._events += 1
            lib.lane_expire(handle, event - 1)
            lane.mirror.write_back()
            if not self._goes_on(lane.meanwhile(partial(clock.advance_to, event * clock.jiffy))):
                return False
            lib.lane_expire(handle, event)
        lib.lane_expire(handle, when // clock.jiffy)
        self._state.now = max(self._state.now, when)
        return True

    def _goes_on(self, goes_on: bool) -> bool:
        """After something else: the lane waits for nothing by itself, and for the next thing that happens. Not where there
        are servers that nobody has numbered."""
        goes_on = goes_on and len(self._lane.mirror.servers) == self._known
        if goes_on:
            self._lane.timer.cancel()
            self._given = self._lane.given
            self._state.event = min(self._clock.next_event, _LAST)
        return goes_on
