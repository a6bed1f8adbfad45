"""The server set of one destination address, for lblcr."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.schedulers._base import Server
from ipvssim.schedulers._locality import CacheEntry
from ipvssim.schedulers._ranked import Least, least_overhead, overhead

FEW: Final = 16
KEPT: Final = 4096


@mypyc_attr(allow_interpreted_subclasses=True)
class Changes(Part):
    """Which servers changed, in order, for sets that look only when they are asked: the last few thousand."""

    __slots__ = ("_log", "_start")

    def __init__(self) -> None:
        self._log: list[Server] = []
        self._start = 0

    @property
    def end(self) -> int:
        """The number of the next change."""
        return self._start + len(self._log)

    def note(self, servers: Iterable[Server]) -> None:
        """These changed."""
        self._log.extend(servers)
        if len(self._log) > KEPT:
            gone = len(self._log) - KEPT // 2
            del self._log[:gone]
            self._start += gone

    def since(self, number: int, most: int) -> list[Server] | None:
        """What changed from that number on; None if that is no longer known or more than ``most``."""
        if number < self._start or self.end - number > most:
            return None
        return self._log[number - self._start :]


@mypyc_attr(allow_interpreted_subclasses=True)
class Replicas(CacheEntry):
    """The servers of one destination address. A set of a few is scanned as in the kernel, a larger one is kept ranked."""

    __slots__ = ("_count", "_ranked", "_seen", "last_change", "members")

    def __init__(self, server: Server, now: int) -> None:
        super().__init__(now)
        self.members: dict[Server, int] = {}
        """Oldest first, each with its number; the kernel's order is the reverse."""
        self._count = 0
        self._ranked: Least | None = None
        self._seen = 0
        self.join(server, now)

    def join(self, server: Server, now: int) -> bool:
        """Put a server ahead of all; False if it is in the set already."""
        if server in self.members:
            return False
        self._count += 1
        self.members[server] = self._count
        server.holders += 1
        self.last_change = now
        return True

    def shed(self, cost: int, now: int) -> None:
        """Drop the most loaded by weight, the first of equals; those of weight 0 stay."""
        most: Server | None = None
        load = 0
        for server in reversed(self.members):
            if server.weight <= 0:
                continue
            own = overhead(server, cost)
            if most is None or load * server.weight < own * most.weight:
                most, load = server, own
        if most is not None:
            del self.members[most]
            if self._ranked is not None:
                self._ranked.drop(most)
            most.holders -= 1
            self.last_change = now

    def least(self, cost: int, all_: Least, changes: Changes) -> Server | None:
        """The least overhead by weight among those that are not deleted, the newest member of equals.

        ``all_`` ranks the service's servers; ``changes`` tells whose ranks are not what they were.
        """
        if len(self.members) > FEW:
            server = self._up_to_date(all_, changes).first()
            if server is None or server.weight:
                return server
        return least_overhead((server for server in reversed(self.members) if server.available), cost)

    def release(self) -> None:
        for server in self.members:
            server.holders -= 1

    def _up_to_date(self, all_: Least, changes: Changes) -> Least:
        recent: Iterable[Server] | None = None
        if self._ranked is None:
            self._ranked = Least()
        else:
            recent = changes.since(self._seen, len(self.members))
        for server in recent if recent is not None else self.members:
            number = self.members.get(server)
            if number is not None:
                self._ranked.put(server, all_.rank(server), -number)
        self._seen = changes.end
        return self._ranked
