"""The traffic of a run: every packet that clients will send, in order of time, before the first of them is sent.

When a client sends does not depend on what the director does, unless servers have a capacity: then packets come later, by as
much as their connection or its user has waited (:mod:`ipvssim.lab.run.queues`). What a server answers, and whether a refused
client goes on, is decided as it happens (:mod:`ipvssim.lab.run.engine`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ipvssim.clock import SECOND
from ipvssim.lab.run import draws, pools, recording
from ipvssim.lab.run.draws import Integers
from ipvssim.lab.run.flows import Flows
from ipvssim.lab.run.wires import ACK, ANSWER, CLOSE, CLOSED, DATA, LAST, OPEN, OPENED, RAW, Template
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.scenario.pools import Pool
from ipvssim.lab.scenario.reader import ScenarioError
from ipvssim.lab.scenario.rules import Endpoint, endpoint
from ipvssim.lab.scenario.values import Stream
from ipvssim.net.packets import SCTP, TCP, UDP

GAP = 1000
"""Microseconds between a packet and its answer."""
_CHUNK = 1 << 15
Chunk = tuple[list[int], list[int], list[int]]


@dataclass(slots=True)
class Traffic:
    """All packets of a run: parallel vectors of time (microseconds), kind and connection, in order of time."""

    flows: list[Flows]
    when: Integers
    kind: NDArray[np.uint8]
    flow: NDArray[np.int32]
    count: int
    """Connections."""
    moved: list[int] = field(default_factory=list)
    """Connections whose clients came back from another port: their next packets that are made ready are of that flow."""
    _first: int = -1
    """Where the packets begin that ``_ready`` has; they are made ready many at once, however few are asked for."""
    _ready: Chunk | None = None
    _keys: list[bytes] | None = None

    @property
    def keys(self) -> list[bytes]:
        """The flow of each connection (:meth:`Flows.keys`)."""
        if self._keys is None:
            self._keys = list(chain.from_iterable(one.keys(np.arange(len(one))) for one in self.flows))
        return self._keys

    def of(self, flow: int) -> Flows:
        """The stream of a connection."""
        return next(flows for flows in self.flows if flows.first <= flow < flows.first + len(flows))

    @property
    def end(self) -> int:
        """The time of the last packet, in microseconds."""
        return int(self.when[-1]) if len(self.when) else 0

    @property
    def last_arrival(self) -> int:
        """When the last connection comes, or the last request of a keep-alive pool, in microseconds; 0 where none does."""
        comes = [int(flows.opened.max(initial=0)) for flows in self.flows]
        requests = [int(flows.requests[0].max(initial=0)) for flows in self.flows if flows.requests is not None]
        return max([0, *comes, *requests])

    def of_flows(self, chosen: NDArray[np.bool_]) -> Traffic:
        """The packets of these connections alone. Connections keep their numbers, and change in neither what they are here
        changes in the other."""
        mine = chosen[self.flow]
        flows = [replace(one, port=one.port.copy()) for one in self.flows]
        return Traffic(flows, self.when[mine], self.kind[mine], self.flow[mine], self.count)

    def key(self, flow: int) -> bytes:
        """The flow that a connection has now."""
        flows = self.of(flow)
        return flows.key(flow - flows.first)

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """Times, kinds and connections of the packets from one position to another; ``keys`` has their flows."""
        while start < stop:
            first = start - start % _CHUNK
            if self._ready is None or self._first != first:
                self._first, self._ready = first, self._made(slice(first, first + _CHUNK))
            end = min(first + _CHUNK, stop)
            part = slice(start - first, end - first)
            when, kinds, numbers = self._ready
            yield when[part], kinds[part], numbers[part]
            start = end

    def _made(self, part: slice) -> Chunk:
        for flow in self.moved:
            self.keys[flow] = self.key(flow)
        self.moved.clear()
        return self.when[part].tolist(), self.kind[part].tolist(), self.flow[part].tolist()

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """Times and bytes of all packets of clients."""
        for first in range(0, len(self.when), _CHUNK):
            part = slice(first, first + _CHUNK)
            made = self._bytes(self.kind[part], self.flow[part])
            yield from ((when, data) for when, data in zip(self.when[part].tolist(), made, strict=True) if data)

    def _bytes(self, kinds: NDArray[np.uint8], numbers: NDArray[np.int32]) -> list[bytes | None]:
        made = np.empty(len(kinds), object)
        for flows in self.flows:
            mine = (numbers >= flows.first) & (numbers < flows.first + len(flows))
            for kind in (OPEN, ACK, DATA, CLOSE, LAST, RAW):
                chosen = np.flatnonzero(mine & (kinds == kind))
                if not len(chosen):
                    continue
                own = numbers[chosen] - flows.first
                if kind == RAW:
                    made[chosen] = _objects([flows.recorded[one] for one in own])
                    continue
                template = Template(flows.end, kind, reset=kind == CLOSE and flows.stream.close == "rst")
                made[chosen] = _objects(template.packets(flows.addresses[flows.client[own]], flows.port[own]))
        return list(made)


def _objects(items: list[bytes]) -> NDArray[np.object_]:
    held = np.empty(len(items), object)
    held[:] = items
    return held


def draw(scenario: Scenario, seed: int) -> Traffic:
    """The traffic of one seed."""
    flows: list[Flows] = []
    first = 0
    for number, stream in enumerate(scenario.streams):
        random = np.random.default_rng([seed, number])
        made = _recorded(stream, first) if stream.pcap else _drawn(scenario, stream, random, first)
        flows.append(made)
        first += len(made)
    plans = [plan for one in flows for plan in _plan(one)]
    when = np.concatenate([plan[0] for plan in plans])
    kind = np.concatenate([np.full(len(plan[0]), plan[1], np.uint8) for plan in plans])
    flow = np.concatenate([plan[2] for plan in plans])
    order = np.lexsort((flow, when))
    return Traffic(flows, when[order], kind[order], flow[order], first)


def _drawn(scenario: Scenario, stream: Stream, random: np.random.Generator, first: int) -> Flows:
    end = endpoint(stream.service)
    if stream.users:
        return _users(scenario, stream, random, first)
    if stream.pool is not None:
        return _pools(scenario, stream, stream.pool, random, first)
    addresses, shares = draws.clients(stream.clients, random, len(end.address))
    opened = draws.arrivals(stream.arrivals, random, stream.connections, stream.seconds) + stream.start
    count = len(opened)
    lasting = draws.durations(stream.durations, random, count)
    client = random.choice(len(shares), count, p=shares).astype(np.int64)
    start = (opened * SECOND).astype(np.int64)
    return Flows(
        stream, end, first, start, start + (lasting * SECOND).astype(np.int64), client,
        draws.ports(client, len(shares)), addresses, _replies(scenario, stream), [],
    )  # fmt: skip


def _users(scenario: Scenario, stream: Stream, random: np.random.Generator, first: int) -> Flows:
    """Closed-loop clients, as they come where servers have room for all (else :mod:`ipvssim.lab.run.queues` makes them
    later). A user whom nobody serves waits as long as its connection would have taken."""
    end = endpoint(stream.service)
    own = {"kind": "uniform", "count": stream.users}
    addresses, shares = draws.clients(stream.clients or own, random, len(end.address))
    client = np.arange(stream.users)
    if stream.clients:
        client = random.choice(len(shares), stream.users, p=shares)
    opened, lasting, user = draws.turns(
        stream.users, stream.durations, stream.think, random, stream.connections, stream.seconds
    )
    start = ((opened + stream.start) * SECOND).astype(np.int64)
    client = client[user].astype(np.int64)
    return Flows(
        stream, end, first, start, start + (lasting * SECOND).astype(np.int64), client,
        draws.ports(client, len(shares)), addresses, _replies(scenario, stream), [], user,
    )  # fmt: skip


def _pools(scenario: Scenario, stream: Stream, pool: Pool, random: np.random.Generator, first: int) -> Flows:
    """The connections of keep-alive pools. A request is sent when its connection is open."""
    end = endpoint(stream.service)
    addresses, shares = draws.clients(stream.clients, random, len(end.address))
    times = draws.arrivals(stream.arrivals, random, 0, stream.seconds) + stream.start
    lasting = draws.durations(stream.durations, random, len(times))
    whose = random.choice(len(shares), len(times), p=shares)
    opened, closed, client, begins, over = pools.drawn(pool, times, lasting, whose.tolist())
    start = (opened * SECOND).astype(np.int64)
    sent = np.maximum((begins * SECOND).astype(np.int64), start[over] + 2 * GAP)
    return Flows(
        stream, end, first, start, np.maximum((closed * SECOND).astype(np.int64), start + 4 * GAP), client,
        draws.ports(client, len(shares)), addresses, _replies(scenario, stream), [], requests=(sent, over),
    )  # fmt: skip


def _replies(scenario: Scenario, stream: Stream) -> bool:
    """Whether servers' answers pass the director."""
    return scenario.rules.method in ("-m", "--masquerading") if stream.replies is None else stream.replies


def _recorded(stream: Stream, first: int) -> Flows:
    times, recorded = [], []
    for when, packet in recording.packets(stream.pcap):
        times.append(when + round(stream.start * SECOND))
        recorded.append(packet)
    sources = [packet[12:16] if packet[0] < 0x60 else packet[8:24] for packet in recorded]
    known = {source: number for number, source in enumerate(dict.fromkeys(sources))}
    if not known:
        raise ScenarioError(f"{stream.pcap}: there is no IP packet in it")
    opened = np.array(times, np.int64)
    client = np.array([known[source] for source in sources], np.int64)
    longest = max(map(len, known))
    addresses = np.frombuffer(b"".join(source.rjust(longest, b"\0") for source in known), np.uint8)
    end = Endpoint(0, bytes(longest), 0)
    nothing = np.zeros(len(times), np.int64)
    return Flows(stream, end, first, opened, opened, client, nothing, addresses.reshape(-1, longest), False, recorded)


Plan = tuple[Integers, int, NDArray[np.int32]]


def _plan(flows: Flows) -> list[Plan]:
    """The packets of a stream's connections: times, kind, connections."""
    numbers = np.arange(flows.first, flows.first + len(flows), dtype=np.int32)
    if flows.recorded:
        return [(flows.opened, RAW, numbers)]
    start, protocol, stream = flows.opened, flows.end.protocol, flows.stream
    steps: list[tuple[Integers, int]] = [(start, OPEN)]
    if protocol in (TCP, SCTP):
        steps.append((start + GAP, ACK))
    finish = np.maximum(flows.closed, start + 2 * GAP)
    if flows.requests is not None:
        return _of_pools(flows, flows.requests, steps, finish)
    for turn in range(1, stream.packets + 1):
        steps.append((start + GAP + (finish - start - GAP) * turn // (stream.packets + 1), DATA))
    if protocol == UDP:
        steps.append((finish, DATA))
    elif stream.close != "none":
        steps.append((finish, CLOSE))
    if flows.replies:
        answers = {OPEN: OPENED, DATA: ANSWER, CLOSE: CLOSED}
        steps += [
            (when + GAP // 2, answers[kind]) for when, kind in steps if kind in answers and _answered(kind, stream)
        ]
        if protocol != UDP and stream.close == "fin":
            steps.append((finish + GAP, LAST))
    return [(when, kind, numbers) for when, kind in steps]


def _of_pools(
    flows: Flows, requests: tuple[Integers, Integers], opening: list[tuple[Integers, int]], finish: Integers
) -> list[Plan]:
    """The same of keep-alive pools: requests where others have their data."""
    numbers = np.arange(flows.first, flows.first + len(flows), dtype=np.int32)
    sent, over = requests
    plans: list[Plan] = [(when, kind, numbers) for when, kind in opening]
    plans.append((sent, DATA, (over + flows.first).astype(np.int32)))
    if flows.stream.close != "none":
        plans.append((finish, CLOSE, numbers))
    if flows.replies:
        answers = {OPEN: OPENED, DATA: ANSWER, CLOSE: CLOSED}
        plans += [
            (when + GAP // 2, answers[kind], own)
            for when, kind, own in plans
            if kind in answers and _answered(kind, flows.stream)
        ]
        if flows.stream.close == "fin":
            plans.append((finish + GAP, LAST, numbers))
    return plans


def _answered(kind: int, stream: Stream) -> bool:
    return kind != CLOSE or stream.close == "fin"
