"""Servers that serve so many connections at once, first come first served, and clients who wait for them.

A connection that waits lasts longer by its wait: all of its packets after the opening come that much later, and so does
whatever its user does next. How long it waits is known when it is opened, since all that is before it has its times by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush, heapreplace

from ipvssim.lab.run.flows import Flows
from ipvssim.lab.run.loop import ACK, OPENED, Planned
from ipvssim.lab.run.traffic import Traffic


class Queues:
    """Those of all servers of a run, each of which serves ``capacity`` connections at once."""

    def __init__(self, traffic: Traffic, capacity: int) -> None:
        self._traffic = traffic
        self._capacity = capacity
        self._free: dict[int, list[int]] = {}
        """By server: when each of its places is free again."""
        self._late: dict[tuple[int, int], int] = {}
        """By stream and user (by itself, a connection of nobody's): how much later than planned its packets come."""
        self._began: dict[int, int] = {}
        """By connection: that lateness when it was opened. Its handshake does not wait: a server's kernel answers it."""
        self._waiting: list[tuple[int, int, Planned]] = []
        self._turn = 0
        self.waits: list[int] = []
        """How long each connection waited."""

    def opened(self, flow: int, server: int, now: int) -> None:
        """A connection goes to a server, and gets the first place that is free."""
        flows, own = self._flows(flow)
        places = self._free.setdefault(server, [0] * self._capacity)
        begins = max(places[0], now)
        wait, lasting = begins - now, int(flows.closed[own] - flows.opened[own])
        heapreplace(places, begins + lasting)
        owner = self._owner(flow)
        self._began[flow] = self._late.get(owner, 0)
        if wait:
            self._late[owner] = self._began[flow] + wait
        flows.opened[own] = now
        flows.closed[own] = begins + lasting
        self.waits.append(wait)

    def packets(self, planned: Iterable[Planned]) -> Iterator[Planned]:
        """The packets in the order in which they come: those that are not late, and between them those that were."""
        for packet in planned:
            yield from self.before(packet[0])
            if self._lateness(packet):
                self._postpone(packet)
            else:
                yield packet

    def before(self, stop: int) -> Iterator[Planned]:
        """The late packets that come before a time."""
        while self._waiting and self._waiting[0][0] < stop:
            at, _, packet = heappop(self._waiting)
            if packet[0] + self._lateness(packet) > at:  # its user has waited since
                self._postpone(packet)
            else:
                yield (at, *packet[1:])

    def _postpone(self, packet: Planned) -> None:
        self._turn += 1
        heappush(self._waiting, (packet[0] + self._lateness(packet), self._turn, packet))

    def _lateness(self, packet: Planned) -> int:
        _, kind, flow, _ = packet
        if kind in (ACK, OPENED) and flow in self._began:
            return self._began[flow]
        return self._late.get(self._owner(flow), 0)

    def _owner(self, flow: int) -> tuple[int, int]:
        flows, own = self._flows(flow)
        return flows.first, own if flows.user is None else int(flows.user[own])

    def _flows(self, flow: int) -> tuple[Flows, int]:
        flows = self._traffic.of(flow)
        return flows, flow - flows.first
