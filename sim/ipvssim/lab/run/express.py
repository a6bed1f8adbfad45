"""A run on the express lane: its flows as columns, which C decides as far as they are plain.

A run's packets can go there where nothing but time and the operator has a say in what comes: no servers with queues, no
clients that come back, no recording. Each stretch of time of such a run goes there where the lane of every director has all
its services; any other goes through the loop (:mod:`ipvssim.lab.run.loop`), with the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ipvssim.lab.run.draws import Integers
from ipvssim.lab.run.loop import COLUMNS, LOST, OPEN, REPLY, UNANSWERED, Loop, Places, Wires, columns
from ipvssim.lab.run.nodes import Node
from ipvssim.lab.run.traffic import Traffic
from ipvssim.lane import Lane, compiled
from ipvssim.lane.flows import ANSWER, FIRST, FURTHER, KINDS, Columns, Packets, Passage, Servers, Shape
from ipvssim.net.packets import TCP, UDP
from ipvssim.net.specimens import Specimen
from ipvssim.path.result import Result

_MOST_DIRECTORS = 100
"""Each lane has a wheel of timers, of a quarter of a megabyte."""


class Express:
    """The lanes of a run's directors. ``route`` has the director of each connection."""

    def __init__(
        self, traffic: Traffic, nodes: Sequence[Node], places: Places, loop: Loop, wires: Sequence[Wires],
        route: Sequence[int],
    ) -> None:  # fmt: skip
        self._traffic = traffic
        self._nodes = nodes
        self._places = places
        self._loop = loop
        flows = _columns(traffic, places, wires)
        self._own = _own(traffic, route, len(nodes))
        self._passages = []
        for number, node in enumerate(nodes):
            lane, own = Lane(node.director, node.kernel.receive), self._own[number]
            packets = Packets(traffic.when[own], traffic.kind[own], traffic.flow[own])
            left = partial(self._left, number)
            self._passages.append(Passage(lane, flows, packets, left, unanswered=UNANSWERED, lost=LOST))
            node.before = self.settle
        self._seen: object = None
        """What the lanes know of the directors' administration."""
        self._apart = np.zeros((len(COLUMNS), 0), np.int64)
        self._stirred: list[int] | None = None

    def begin(self) -> bool:
        """Be as the directors' tables are now; whether the lanes take what comes next."""
        if self._is_on():
            return True
        seen = self._administered()
        if seen != self._seen:
            self.end()
            self._seen, servers = seen, self._servers()
            if all(passage.begin(servers) for passage in self._passages):
                return True
        self.end()
        return False

    def go(self, start: int, stop: int) -> None:
        """The packets from one position to another."""
        for passage, own in zip(self._passages, self._own, strict=True):
            if isinstance(own, slice):
                passage.go(start, stop)
            else:
                first, last = np.searchsorted(own, (start, stop)).tolist()
                passage.go(first, last)

    def pass_to(self, when: int) -> None:
        """Let time pass at all directors."""
        for passage in self._passages:
            passage.pass_to(when)
        self._count()

    def settle(self) -> None:
        """Let the directors' tables be up to date."""
        for passage in self._passages:
            passage.settle()

    def sample(self, size: int) -> Integers:
        """What :func:`ipvssim.lab.run.loop.columns` tells of ``size`` servers. The tables need not be up to date where none
        but the lanes has changed anything since this was asked last."""
        on = self._is_on()
        stirred = [passage.stirred for passage in self._passages] if on else None
        if stirred is None or stirred != self._stirred:
            self.settle()
            found = np.array(columns(self._places.of, size), np.int64).reshape(len(COLUMNS), size)
            self._stirred = None
            if on:
                self._apart = found - self._loads(size)
                if not self._apart[[1, 2, 5]].any():  # no connection is anywhere else
                    self._stirred = stirred
            return found
        return self._apart + self._loads(size)

    def _loads(self, size: int) -> Integers:
        found = np.zeros((len(COLUMNS), size), np.int64)
        for passage in self._passages:
            passage.add_loads(*found[:4])
        return found

    def end(self) -> None:
        """Let all directors be as any others are."""
        for passage in self._passages:
            passage.end()
        self._count()

    @property
    def decided(self) -> int:
        """How many packets the lanes have decided."""
        return sum(passage.decided for passage in self._passages)

    # --- inside ---

    def _administered(self) -> object:
        return [node.administered for node in self._nodes], set(self._places.dead)

    def _is_on(self) -> bool:
        """Whether the lanes decide, and know everything that they need."""
        return all(passage.going for passage in self._passages) and self._administered() == self._seen

    def _count(self) -> None:
        for passage in self._passages:
            reused, reopened = passage.counted()
            self._places.reused += reused
            self._places.reopened += reopened

    def _left(self, number: int, at: int) -> Result | None:
        """A packet of a director's goes through the loop."""
        own, traffic = self._own[number], self._traffic
        position = at if isinstance(own, slice) else int(own[at])
        flow = int(traffic.flow[position])
        return self._loop.give(int(traffic.when[position]), int(traffic.kind[position]), flow, traffic.key(flow))

    def _servers(self) -> Servers:
        places = self._places
        addresses = [int.from_bytes(one, "big") if len(one) == 4 else 0 for one in places.addresses]
        ports = [int.from_bytes(one, "big") for one in places.ports]
        return Servers(addresses, ports, [number in places.dead for number in range(len(ports))], places.of)


def fits(traffic: Traffic, directors: int) -> bool:
    """Whether the lane may take a run's packets."""
    return (
        compiled
        and directors <= _MOST_DIRECTORS
        and all(
            not flows.recorded
            and not flows.stream.reconnect
            and len(flows.end.address) == 4
            and flows.end.protocol in (TCP, UDP)
            and not flows.end.mark
            for flows in traffic.flows
        )
    )


def _own(traffic: Traffic, route: Sequence[int], directors: int) -> list[slice | Integers]:
    """The positions of each director's packets."""
    if directors == 1:
        return [slice(None)]
    whose = np.array(route, np.int64)[traffic.flow]
    order = np.argsort(whose, kind="stable")
    return list(np.split(order, np.cumsum(np.bincount(whose, minlength=directors))[:-1]))


def _columns(traffic: Traffic, places: Places, wires: Sequence[Wires]) -> Columns:
    clients = [flows.addresses.view(">u4").ravel()[flows.client] for flows in traffic.flows]
    ports = [flows.port for flows in traffic.flows]
    several = len(traffic.flows) > 1
    streams = np.repeat(np.arange(len(traffic.flows), dtype=np.uint16), [len(one) for one in traffic.flows])
    return Columns(
        np.concatenate(clients).astype(np.uint32), np.concatenate(ports).astype(np.uint16), streams if several else None,
        places.placed, places.fresh, places.gone, [_shapes(one) for one in wires],
    )  # fmt: skip


def _shapes(wires: Wires) -> list[Shape]:
    shapes = [Shape()] * KINDS
    for kind, specimen in enumerate(wires.requests):
        address = int.from_bytes(specimen.destination, "big")
        shapes[kind] = _shape(specimen, address, FIRST if kind == OPEN else FURTHER)
    for kind, specimen in wires.answers.items():
        assert kind >= REPLY
        shapes[kind] = _shape(specimen, 0, ANSWER)
    return shapes


def _shape(specimen: Specimen, address: int, part: int) -> Shape:
    flags = specimen.data[specimen.offset + 13] if specimen.protocol == TCP else 0
    port = int.from_bytes(specimen.key[-2:], "big")
    return Shape(address, port, len(specimen.data), specimen.protocol, specimen.hops, flags, part)
