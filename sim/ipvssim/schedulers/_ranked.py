"""What the schedulers share that take the server of least rank: the kernel's scan of all servers, without the scan.

The kernel folds over its list with a strict comparison, so the earlier of two equals stays. For loads and positive weights
that is the minimum of (load / weight, list order): multiplying by a positive weight keeps the order of fractions, so the
fold's comparison ``load(best) * weight(d) > load(d) * weight(best)`` says exactly that d's fraction is the smaller.
Fractions are ranked by whole numbers: two different ones with denominators below 2^31 differ by more than 2^-62, hence
``(load << 62) // weight`` orders them and equals only for equal fractions.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, ClassVar, Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings, label

SCALE: Final = 62
_SLACK: Final = 64


Ranking = tuple[Any, ...]
"""Rank, place and server. A tuple of declared length is made anew at each use in compiled code, and ``is`` fails."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Least(Part):
    """Servers by (rank, place), the least at hand: a heap whose entries are left in it when they are out of date, until they
    come to its top or outnumber the others."""

    __slots__ = ("_entries", "_heap")

    def __init__(self) -> None:
        self._entries: dict[Server, Ranking] = {}
        self._heap: list[Ranking] = []

    def put(self, server: Server, rank: int | None, place: int) -> None:
        """Its rank is this now; None takes it out. Of servers of equal rank the one of smaller place comes first."""
        if rank is None:
            self._entries.pop(server, None)
            return
        old = self._entries.get(server)
        if old is not None and old[0] == rank and old[1] == place:
            return
        entry: Ranking = (rank, place, server)
        self._entries[server] = entry
        if self._heap and self._heap[0] is old:
            heapreplace(self._heap, entry)
            return
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _SLACK:
            self._heap[:] = self._entries.values()
            heapify(self._heap)

    def rank(self, server: Server) -> int | None:
        """Its rank; None if it is not there."""
        entry = self._entries.get(server)
        return entry[0] if entry is not None else None

    def drop(self, server: Server) -> None:
        """Take it out; no change if it is not there."""
        self._entries.pop(server, None)

    def first(self) -> Server | None:
        """The server of least rank and place."""
        heap, entries = self._heap, self._entries
        while heap:
            entry = heap[0]
            server: Server = entry[2]
            if entries.get(server) is entry:
                return server
            heappop(heap)
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class Ranked(Scheduler):
    """Takes the server of least :meth:`rank`, the first in list order of equals.

    What changed is only noted; the next pick ranks it anew.
    """

    LOADS: ClassVar[bool] = True

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._changed: set[Server] = set(service.servers())
        self._least = Least()

    def rank(self, server: Server) -> int | None:
        """Its rank by its counts, weight and mark as they are; None where it is not to be picked."""
        raise NotImplementedError

    def added(self, server: Server) -> None:
        self._changed.add(server)

    def removed(self, server: Server) -> None:
        self._changed.discard(server)
        self._least.drop(server)

    def edited(self, server: Server) -> None:
        self._changed.add(server)

    def loaded(self, server: Server) -> None:
        self._changed.add(server)

    def pick(self, flow: Flow) -> Server | None:
        return self.least()

    def peek(self, flow: Flow) -> Server | None:
        return self.least()

    def figure(self, server: Server) -> str:
        """What it is ranked by, in words: its rank before it is made a whole number."""
        raise NotImplementedError

    def why(self, flow: Flow, picked: Server | None) -> str:
        return self.compared(picked)

    def compared(self, picked: Server | None, what: str = "") -> str:
        """Why ``picked`` is the least of all: its figure, and that of the one that comes next. ``what`` it is of; empty: the
        scheduler's own rule."""
        if picked is None:
            return self.nobody()
        ranks = {server: self.rank(server) for server in self.service.servers() if server is not picked}
        usable = {server: rank for server, rank in ranks.items() if rank is not None}
        said = f"{self.NAME} takes {label(picked)} ({what or self.RULE}): {self.figure(picked)}"
        if not usable:
            return f"{said}; no other server is usable{self.passed_over(': ')}"
        following = min(usable, key=lambda server: (usable[server], server.order))
        equal = usable[following] == self.rank(picked)
        words = "equal, and later in list order, is" if equal else "the next is"
        return f"{said}; {words} {label(following)}: {self.figure(following)}{self.passed_over('; ')}"

    def least(self) -> Server | None:
        """The server of least rank."""
        if self._changed:
            self.refresh()
        return self._least.first()

    def refresh(self) -> None:
        """Rank what changed."""
        least = self._least
        for server in self._changed:
            least.put(server, self.rank(server) if server.available else None, server.order)
        self._changed.clear()


@mypyc_attr(allow_interpreted_subclasses=True)
class LeastOverhead(Ranked):
    """Takes the server of least connection overhead by weight: what wlc, lblc and lblcr do."""

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self.cost = overhead_of_active(self.settings)

    def rank(self, server: Server) -> int | None:
        if server.overloaded:
            return None
        weight = server.weight
        load = overhead(server, self.cost)
        if weight > 0:
            return (load << SCALE) // weight
        return _WRAPPED if load < 0 else None

    def figure(self, server: Server) -> str:
        return f"({self.cost} * {server.active} active + {server.inactive} inactive) / weight {server.weight}"

    def least(self) -> Server | None:
        server = super().least()
        if server is not None and not server.weight:
            return least_overhead(self.service.servers(), self.cost)
        return server


_WRAPPED: Final = -1 << 100
"""Ranked before all: a weight of 0 whose overhead wrapped below 0 wins the kernel's comparison with any that precedes it."""


def overhead_of_active(settings: Settings) -> int:
    """What an active connection costs where an inactive one costs 1: 6.1.183 began to count it among all connections too."""
    return 257 if settings.behaviours.overload_by_all else 256


def overhead(server: Server, cost: int) -> int:
    """Its connections as a load: a signed 32-bit number, which wraps at 2^23 active connections."""
    load = server.active * cost + server.inactive
    return load if load < 0x80000000 else (load + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def least_overhead(servers: Iterable[Server], cost: int) -> Server | None:
    """The kernel's own scan for the least overhead by weight: for lists too short or too odd for ranks."""
    best: Server | None = None
    least = 0
    for server in servers:
        if server.overloaded:
            continue
        load = overhead(server, cost)
        if best is None:
            if server.weight > 0:
                best, least = server, load
        elif least * server.weight > load * best.weight:
            best, least = server, load
    return best
