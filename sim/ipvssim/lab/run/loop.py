"""The loop over a run's packets: each goes to its director, and where its connection went is noted.

Directors get flows (:class:`ipvssim.net.specimens.Specimen`): nobody looks at the bytes of a run's packets. They get bytes
where a run is traced, and of a recording. This module is compiled together with the packet path.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.net.specimens import Specimen
from ipvssim.path.director import Director
from ipvssim.path.result import Result
from ipvssim.state.services import RealServer

if TYPE_CHECKING:
    from collections.abc import Mapping

OPEN: Final = 0
ACK: Final = 1
DATA: Final = 2
CLOSE: Final = 3
LAST: Final = 4
RAW: Final = 5
"""What clients send; RAW is a packet of a recording."""
REPLY: Final = 8
"""From here on, what servers send: the answer to OPEN, to DATA, to CLOSE."""
OPENED: Final = 8
ANSWER: Final = 10
CLOSED: Final = 11

NOWHERE: Final = -1
REFUSED: Final = 1
LEFT: Final = 2
UNANSWERED: Final = 3
LOST: Final = 4
"""Why a client sends nothing more: no server took its connection; none did when it came back; its first packet went to a
dead server; or, in the midst of its connection, one did that was to open it anew."""
COLUMNS: Final = ("opened", "active", "inactive", "packets", "weight", "templates")

Planned = tuple[int, int, int, bytes]
"""A packet: when (microseconds), kind, connection, and its flow as its client's packets carry it; of a recording, its
bytes."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Wires:
    """The specimens of one stream by kind: what its clients send, and what its servers answer; none of a recording."""

    __slots__ = ("answers", "requests")

    def __init__(self, requests: list[Specimen], answers: dict[int, Specimen]) -> None:
        self.requests = requests
        self.answers = answers


@mypyc_attr(allow_interpreted_subclasses=True)
class Places:
    """The servers of a run by number, and where each connection went."""

    __slots__ = ("addresses", "again", "dead", "fresh", "gone", "learn", "of", "placed", "ports", "reopened", "reused")

    def __init__(self, count: int, learn: Callable[[], object]) -> None:
        """``count`` connections. ``learn`` is called where a server has no number in ``of`` yet."""
        self.of: dict[RealServer, int] = {}
        self.addresses: list[bytes] = []
        self.ports: list[bytes] = []
        """Address and port of each server, in network order."""
        self.dead: set[int] = set()
        """The numbers of the servers that answer nothing."""
        self.placed: array[int] = array("i", [NOWHERE]) * count
        """The number of the server that each connection went to."""
        self.fresh = bytearray(count)
        """Whether it was opened (1), or is the continuation of one that was there (0)."""
        self.gone = bytearray(count)
        self.again: dict[int, int] = {}
        """Where connections are now whose clients came back with another, since their server went."""
        self.reused = 0
        self.reopened = 0
        self.learn = learn

    def number(self, server: RealServer) -> int:
        """A server's number."""
        found = self.of.get(server)
        if found is None:
            self.learn()
            found = self.of[server]
        return found

    def opened(self, flow: int, kind: int, server: RealServer) -> bool:
        """A packet opened a connection; whether its server is alive."""
        if self.fresh[flow]:
            self.reopened += 1
        else:
            self.fresh[flow] = 1
        number = self.number(server)
        self.placed[flow] = number
        if number in self.dead:
            self.gone[flow] = UNANSWERED if kind in (OPEN, RAW) else LOST
            return False
        return True

    def not_opened(self, flow: int, server: RealServer | None) -> None:
        """A first packet met a connection that it belongs to by accident, or none at all."""
        if server is None:
            self.gone[flow] = REFUSED
            return
        self.reused += 1
        number = self.number(server)
        self.placed[flow] = number
        if number in self.dead:
            self.gone[flow] = UNANSWERED


@mypyc_attr(allow_interpreted_subclasses=True)
class Loop:
    """Gives packets to directors. ``wires`` are those of each stream, ``stream`` and ``route`` the stream and the director
    of each connection (empty: it is the first one's). ``raw`` has, of each director, what takes the bytes of an IP packet,
    the device and the mark: for recordings, and for all packets of a run that is ``whole``. ``key`` tells the flow that a
    connection has now. ``waits`` is told of connections that are opened (number, server, time), where they wait."""

    __slots__ = ("_directors", "_key", "_places", "_raw", "_result", "_route", "_stream", "_waits", "_whole", "_wires")

    def __init__(
        self, places: Places, directors: list[Director], wires: list[Wires], stream: list[int], route: list[int],
        raw: list[Callable[[bytes, str, int], Result]], key: Callable[[int], bytes],
        waits: Callable[[int, int, int], object] | None, *, whole: bool,
    ) -> None:  # fmt: skip
        self._key = key
        self._result = Result()
        self._places = places
        self._directors = directors
        self._wires = wires
        self._stream = stream
        self._route = route
        self._raw = raw
        self._waits = waits
        self._whole = whole

    def every(self, whens: list[int], kinds: list[int], flows: list[int], keys: list[bytes]) -> None:
        """All packets of three lists, in their order; ``keys`` are those of all connections of the run."""
        for at in range(len(whens)):
            flow = flows[at]
            self.give(whens[at], kinds[at], flow, keys[flow])

    def some(self, planned: Iterable[Planned]) -> None:
        """Packets one by one, as they come."""
        for when, kind, flow, key in planned:
            self.give(when, kind, flow, key)

    def give(self, when: int, kind: int, flow: int, key: bytes) -> Result | None:
        """A packet of a connection comes to its director. What became of it; None where it does not come."""
        places = self._places
        if places.gone[flow]:
            return None
        node = self._route[flow] if self._route else 0
        director = self._directors[node]
        director.clock.advance_to(when)
        if kind >= REPLY:
            return self.answer(flow, kind, node, key)
        stream = self._stream[flow] if self._stream else 0
        if kind == RAW:
            result = self._raw[node](key, "client", 0)
        else:
            specimen = self._wires[stream].requests[kind]
            specimen.come_from(key)
            if self._whole:
                result = self._raw[node](specimen.raw(), "client", specimen.mark)
            else:
                result = director.pass_flow(specimen, self._result)
        if result.opened:
            server = result.server
            assert server is not None
            if places.opened(flow, kind, server) and kind == OPEN and self._waits is not None:
                self._waits(flow, places.placed[flow], when)
        elif kind == OPEN:
            places.not_opened(flow, result.server)
        return result

    def answer(self, flow: int, kind: int, node: int, key: bytes) -> Result | None:
        """A connection's server answers a packet; a dead one does not (None)."""
        places = self._places
        server = places.placed[flow]
        if places.again and flow in places.again:
            server, key = places.again[flow], self._key(flow)
        if server == NOWHERE or server in places.dead:
            return None
        half = len(key) - 4 >> 1
        specimen = self._wires[self._stream[flow] if self._stream else 0].answers[kind]
        specimen.follow(b"".join((places.addresses[server], key[:half], places.ports[server], key[-4:-2])))
        if self._whole:
            return self._raw[node](specimen.raw(), "server", 0)
        return self._directors[node].pass_flow(specimen, self._result)


def columns(servers: Mapping[RealServer, int], size: int) -> list[list[int]]:
    """A sample: for each of :data:`COLUMNS` a row with a place for each of the ``size`` numbers that servers have."""
    opened, active, inactive = [0] * size, [0] * size, [0] * size
    packets, weights, templates = [0] * size, [0] * size, [0] * size
    for server, number in servers.items():
        counters = server.counters
        opened[number] += counters.conns
        active[number] += server.active
        inactive[number] += server.inactive
        packets[number] += counters.inpkts + counters.outpkts
        templates[number] += server.persistent
        if server.available:
            weights[number] = max(weights[number], server.weight)
    return [opened, active, inactive, packets, weights, templates]
