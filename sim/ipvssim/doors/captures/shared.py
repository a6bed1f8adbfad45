"""A memory that is shared with the express lane: it reads and writes there what plain packets need, and flows with it.

A flow has a row in the lane (:class:`ipvssim.lane.capture.Row`) beside its object here. Before anybody here looks at one it
is touched: what the lane counted goes to the object, and its connection comes back. Afterwards :meth:`Shared.settle` tells
the lane what it needs of it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from ipvssim.clock import SECOND
from ipvssim.doors.captures.flows import ENDED, KEPT, Flow, Flows
from ipvssim.doors.captures.memory import First, Memory
from ipvssim.lane import capture as lanes
from ipvssim.lane.keeping import NO_TAG
from ipvssim.path.connections import STATES

if TYPE_CHECKING:
    from ipvssim.doors.captures.sides import Sides
    from ipvssim.lane.lane import Lane
    from ipvssim.path.connections import ConnectionEntry

_ADDRESS: Final = 4
_KEY: Final = Struct("!4s4sHH").pack
_NAMED: Final = 1 << 33
"""Numbers of interfaces with names begin there; those below are one more than the number that the link tells."""
REASONS: Final = {lanes.KNOWN: "known connection", lanes.OPENED: "opened a connection", lanes.REPLY: "reply"}


class Shared(Memory):
    """The memory of a capture whose plain packets a lane decides. ``began`` is the clock's time at its first packet."""

    def __init__(self, lane: Lane, flows: Flows, began: int) -> None:
        super().__init__()
        lane.gather()
        self.seen = lanes.Seen()
        self._lane, self._captured, self._began = lane, flows, began
        self._touched: dict[int, Flow] = {}
        self._names: dict[str, int] = {}
        flows.on_touch, flows.on_learn = self.touch, self._learned
        lane.keeping.tags = self

    def know(self, sides: Sides) -> None:
        """What the rules name."""
        tunnels = {address for address, _ in sides.tunnels}
        for kind, addresses in (
            (lanes.VIRTUAL, sides.virtual), (lanes.TRANSLATED, sides.translated), (lanes.DIRECT, sides.direct),
            (lanes.TUNNEL, tunnels),
        ):  # fmt: skip
            for address in addresses:
                self._note(kind, address)
        self.seen.counts.any_direct = bool(sides.direct)

    # --- what others remember ---

    def flow(self, protocol: int, place: bytes) -> Flow | None:
        """As :meth:`Memory.flow`."""
        if len(place) != _ADDRESS + 2:
            return super().flow(protocol, place)
        return self._numbered(self.seen.noted(lanes.CLIENT, protocol << 48 | int.from_bytes(place, "big")))

    def asked(self, protocol: int, place: bytes, flow: Flow) -> None:
        """As :meth:`Memory.asked`."""
        if len(place) != _ADDRESS + 2:
            super().asked(protocol, place, flow)
        else:
            self.seen.note(lanes.CLIENT, protocol << 48 | int.from_bytes(place, "big"), flow.number - 1)

    def is_client(self, address: bytes) -> bool:
        """As :meth:`Memory.is_client`."""
        if len(address) != _ADDRESS:
            return super().is_client(address)
        return self.seen.noted(lanes.ADDRESS, int.from_bytes(address, "big")) is not None

    def client(self, address: bytes) -> None:
        """As :meth:`Memory.client`."""
        if not self._note(lanes.ADDRESS, address):
            super().client(address)

    def first(self, print: bytes) -> First | None:
        """As :meth:`Memory.first`."""
        found = self.seen.recall(print)
        if found is None:
            return None
        when, interface, target, hops, flow = found
        return First(self._name(interface), target, hops, when, self._numbered(flow))

    def remember(self, print: bytes, first: First) -> None:
        """As :meth:`Memory.remember`."""
        flow = first.flow.number - 1 if first.flow is not None else None
        self.seen.remember(print, first.when, self.interface(first.interface), first.target, first.hops, flow)

    def own_mac(self, mac: bytes) -> None:
        """As :meth:`Memory.own_mac`."""
        super().own_mac(mac)
        self.seen.note(lanes.OWN_MAC, int.from_bytes(mac, "big"))

    def own_address(self, address: bytes) -> None:
        """As :meth:`Memory.own_address`."""
        super().own_address(address)
        self._note(lanes.OWN_ADDRESS, address)

    def _note(self, kind: int, address: bytes) -> bool:
        if len(address) == _ADDRESS:
            self.seen.note(kind, int.from_bytes(address, "big"))
        return len(address) == _ADDRESS

    def _learned(self, mac: bytes, *, whose: bool) -> None:
        if len(mac) == 6:
            self.seen.note(lanes.SERVER_MAC, int.from_bytes(mac, "big"), 0 if whose else None)

    def interface(self, name: str) -> int:
        """The number of an interface's name: two of one name have one number."""
        if not name:
            return 0
        if name.isascii() and name.isdecimal() and str(int(name[:10])) == name and int(name) < 1 << 32:
            return int(name) + 1
        return self._names.setdefault(name, _NAMED + len(self._names))

    def _name(self, number: int) -> str:
        if number < _NAMED:
            return str(number - 1) if number else ""
        return list(self._names)[number - _NAMED]

    # --- flows ---

    def _numbered(self, number: int | None) -> Flow | None:
        return None if number is None else self.touch(self._captured.all[number])

    def touch(self, flow: Flow) -> Flow:
        """Let a flow be here as it is; it may be a new one."""
        number = flow.number - 1
        if number in self._touched:
            return flow
        self._touched[number] = flow
        if number == len(self.seen):
            self.seen.open()
            return flow
        _merge(flow, self.seen.take(number))
        if flow.connection is KEPT:
            client, virtual = flow.client, flow.virtual
            self._lane.keeping.give(flow.protocol, _KEY(client[0], virtual[0], client[1], virtual[1]))
            if flow.connection is KEPT:  # nothing came back
                flow.connection = ENDED
        return flow

    def begin(self) -> None:
        """A packet is to be looked at here."""
        self.any_request = bool(self.seen.counts.any_request)

    def settle(self) -> None:
        """It was: the lane gets to know what it needs of the flows that were touched."""
        self.seen.counts.any_request = self.any_request
        for number, flow in self._touched.items():
            row = self.seen.row(number)
            if not row.answers and len(flow.virtual[0]) == _ADDRESS:
                row.virtual_address, row.virtual_port = int.from_bytes(flow.virtual[0], "big"), flow.virtual[1]
                row.protocol, row.answers = flow.protocol, 1
            if flow.states:
                names = STATES.get(flow.protocol, ())
                row.last_state = names.index(flow.states[-1]) if flow.states[-1] in names else lanes.NO_STATE
            if flow.director is not None and row.director == lanes.UNKNOWN:
                row.director = lanes.TOLD
        self._touched.clear()

    def take_new(self) -> None:
        """Let there be objects of the flows that began in the lane."""
        every, servers = self._captured.all, self._lane.mirror.servers
        if len(every) == len(self.seen):
            return
        for row in self.seen.rows(len(every)):
            client = row.client.to_bytes(4, "big"), row.client_port
            virtual = row.virtual.to_bytes(4, "big"), row.virtual_port
            began = round((row.began - self._began) / SECOND * SECOND)
            flow = Flow(len(every) + 1, row.protocol, client, virtual, began)
            server = servers[row.server]
            assert server is not None
            flow.connection, flow.server = KEPT, (server.address, server.port or row.virtual_port)
            flow.reason = REASONS[row.kind]
            if row.kind == lanes.OPENED and server.service is not None:
                flow.scheduler = server.service.scheduler_name
            every.append(flow)

    def end(self) -> None:
        """The capture is at its end: the objects have all, and the lane nothing more to do with them."""
        self.take_new()
        self.seen.look(self._lane)
        for flow, row in zip(self._captured.all, self.seen.rows(), strict=True):
            _merge(flow, row)
            if flow.connection is KEPT and not row.live:
                flow.connection = ENDED
        self._captured.on_touch = self._captured.on_learn = None
        self._lane.keeping.tags = None

    # --- connections come and go (ipvssim.lane.keeping.Tags) ---

    def number(self, connection: ConnectionEntry) -> int:
        """The number of its flow's row."""
        flow = self._captured.by_connection.get(connection)
        return NO_TAG if flow is None else flow.number - 1

    def taken(self, connection: ConnectionEntry) -> None:
        """The lane keeps it."""
        flow = self._captured.by_connection.pop(connection, None)
        if flow is not None:
            flow.connection = KEPT

    def given(self, connection: ConnectionEntry, number: int) -> None:
        """It came back."""
        flow = self._captured.all[number]
        flow.connection = connection
        self._captured.by_connection[connection] = flow


def _merge(flow: Flow, row: lanes.Row) -> None:
    """What the lane counted and saw."""
    flow.in_packets += row.in_packets
    flow.in_bytes += row.in_bytes
    flow.back_packets += row.back_packets
    flow.back_bytes += row.back_bytes
    if row.state_count:
        names = STATES[flow.protocol]
        flow.states += [names[state] for state in row.passed()]
    if flow.director is None and row.director == lanes.PLACE:
        flow.director = (row.place >> 16).to_bytes(4, "big"), row.place & 0xFFFF
    elif flow.director is None and row.director == lanes.MAC:
        flow.director = row.place.to_bytes(6, "big")
