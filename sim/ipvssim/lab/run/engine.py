"""A run: the traffic of one seed through the directors of one variant. Every decision is the director's.

The loop over packets (:mod:`ipvssim.lab.run.loop`) does nothing but let time pass and hand them over; what is reported is
counted afterwards, from where each connection went and from samples of the directors' own counters.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ipvssim.clock import SECOND
from ipvssim.lab.run import measures, reconnect, traffic
from ipvssim.lab.run.express import Express, fits
from ipvssim.lab.run.loop import LEFT, LOST, REFUSED, Loop, Places, columns
from ipvssim.lab.run.nodes import Node
from ipvssim.lab.run.noted import Noted, outcome
from ipvssim.lab.run.operator import TAKE_OUT, Operator
from ipvssim.lab.run.outcome import Change, Outcome, Sample, grids
from ipvssim.lab.run.queues import Queues
from ipvssim.lab.run.traffic import Traffic
from ipvssim.lab.run.wires import OPENED, wires
from ipvssim.lab.scenario.definition import Scenario, parted, period
from ipvssim.lab.scenario.rules import split
from ipvssim.lab.scenario.values import Event, last_moment
from ipvssim.state.namespace import RELEASE
from ipvssim.state.services import RealServer

_AT_ONCE = 1 << 15
Progress = Callable[[int, int], object]
"""Told the packets done, and how many there are."""


class Drawn(NamedTuple):
    """What is known before the first packet comes: the traffic, and the director of each connection."""

    traffic: Traffic
    route: list[int]


class Engine:
    """One run, from :meth:`run`. Directors get flows, through the express lane where that can be (without ``lanes`` it can
    not); with ``whole`` they get the bytes of every packet, for the same figures. With ``tracing`` they do, and nodes keep
    all that happens to them. ``known`` is what :func:`drawn` told of the seed, where that was done before."""

    def __init__(
        self, scenario: Scenario, variant: str, seed: int, *, tracing: bool = False, whole: bool = False,
        lanes: bool = True, known: Drawn | None = None,
    ) -> None:  # fmt: skip
        self.scenario = scenario
        self.variant = variant
        self.seed = seed
        self.traffic, self._route = known or drawn(scenario, seed)
        words, kernel = parted(variant)
        self._lines = scenario.rules.lines(words)
        self.nodes = [
            Node(self._lines, scenario.sysctls, seed=seed * 1000 + number, tracing=tracing, release=kernel or RELEASE)
            for number in range(scenario.directors)
        ]
        self.operator = Operator(scenario, self._lines, self.nodes)
        self._numbers: dict[str, int] = {}
        self.places = Places(self.traffic.count, self._learn)
        self._learn()
        self._done = 0
        marked = any(flows.end.mark for flows in self.traffic.flows)
        self._marks = [flows.end.mark for flows in self.traffic.flows for _ in range(len(flows) * marked)]
        self._queues = Queues(self.traffic, scenario.rules.capacity) if scenario.rules.capacity else None
        self._wires = [wires(one.end, reset=one.stream.close == "rst") for one in self.traffic.flows]
        self._loop = self._made_loop(whole=whole or tracing)
        self._express: Express | None = None
        if lanes and not whole and not tracing and self._queues is None and fits(self.traffic, scenario.directors):
            self._express = Express(self.traffic, self.nodes, self.places, self._loop, self._wires, self._route)
        self._samples: list[Sample] = []
        self._times: list[float] = []
        self._changes: list[Change] = []

    def _made_loop(self, *, whole: bool) -> Loop:
        flows, nodes = self.traffic.flows, self.nodes
        several = len(flows) > 1
        return Loop(
            self.places, [node.director for node in nodes], self._wires,
            [number for number, one in enumerate(flows) for _ in range(len(one) * several)],
            self._route if len(nodes) > 1 else [], [node.take for node in nodes], self.traffic.key,
            None if self._queues is None else self._queues.opened, whole=whole,
        )  # fmt: skip

    @property
    def hastened(self) -> int:
        """How many packets the express lane has decided."""
        return self._express.decided if self._express is not None else 0

    # --- the course of a run ---

    def run(self, progress: Progress | None = None) -> Outcome:
        """Everything from the beginning to the last arrival; KeyboardInterrupt ends it early, with what there is by then."""
        return outcome(self.scenario, self.variant, self.seed, self.traffic, self._route, self.play(progress))

    def play(self, progress: Progress | None = None) -> Noted:
        """The same, for what it has noted."""
        collecting = gc.isenabled()
        gc.disable()  # connections refer to nothing that refers to them once they are gone: there is nothing to collect
        try:
            return self._noted(self._passed(progress))
        finally:
            if self._express is not None:
                self._express.end()
            if collecting:
                gc.enable()

    def _passed(self, progress: Progress | None) -> bool:
        """Let the time of the run pass; whether all of it did."""
        when = self.traffic.when
        timed = sorted((event for event in self.scenario.events if event.at is not None), key=lambda one: one.at or 0.0)
        end = last_moment(self.scenario.streams, timed, self.traffic.last_arrival + 1)
        step = max(round(period(self.scenario, end / SECOND) * SECOND), 1)
        waiting = [event for event in self.scenario.events if event.at is None]
        total = int(np.searchsorted(when, end))
        now = 0
        try:
            while now < end:
                first = (round((one.at or 0.0) * SECOND) for one in timed[:1])
                at = int(min(end, (now // step + 1) * step, self.operator.next(now), *first))
                self._play(at, total, progress)
                now = max(at, now)
                self._advance(now)
                due = [event for event in timed if round((event.at or 0.0) * SECOND) <= now]
                timed = timed[len(due) :]
                if now % step == 0 or now == end or due:
                    self._sample(now)
                met = [event for event in waiting if self._measure(event.measure) > event.above]
                waiting = [event for event in waiting if event not in met]
                for event in due + met:
                    self._carry_out(event, now)
                self._look_after(now)
        except KeyboardInterrupt:
            del self._times[len(self._samples) :]  # it may have come in the midst of a sample
            if self._express is not None:
                self._express.end()
            self._sample(max(node.clock.now for node in self.nodes))
            return False
        return True

    def _play(self, at: int, total: int, progress: Progress | None) -> None:
        """Hand over the packets before a time."""
        stop = int(np.searchsorted(self.traffic.when, at))
        if self._express is not None and self._express.begin():
            self._hasten(self._express, stop, total, progress)
            self._express.pass_to(at)
            return
        keys = self.traffic.keys
        for whens, kinds, flows in self.traffic.chunks(self._done, stop):
            if self._queues is None:
                self._loop.every(whens, kinds, flows, keys)
            else:
                planned = zip(whens, kinds, flows, map(keys.__getitem__, flows), strict=True)
                self._loop.some(self._queues.packets(planned))
            self._done += len(whens)
            if progress is not None:
                progress(self._done, total)
        if self._queues is not None:
            self._loop.some(self._queues.before(at))

    def _hasten(self, express: Express, stop: int, total: int, progress: Progress | None) -> None:
        """Hand over packets on the express lane."""
        while self._done < stop:
            start, self._done = self._done, min(self._done + _AT_ONCE, stop)
            express.go(start, self._done)
            if progress is not None:
                progress(self._done, total)

    # --- events ---

    def _carry_out(self, event: Event, now: int) -> None:
        before = self._usable()
        if self._express is not None:
            self._express.settle()
        of, dead = self.places.of, self.places.dead
        listed = [server for server in of if server.available]
        active = {server: server.active for server in listed if of[server] not in dead}
        self.operator.carry_out(event, now)
        self._learn()
        usable = self._usable()
        broken = sum(active[server] for server in active if not server.available or of[server] in dead)
        lost = {server for server in listed if not server.available}
        if event.action == TAKE_OUT:  # by its weight, it may be: the checks know that it is dead
            lost |= {server for server in listed if of[server] in dead and server.weight == 0}
        if lost and any(flows.stream.reconnect for flows in self.traffic.flows):
            self._reconnect(lost, now)
        self._changes.append(Change(event.label, now / SECOND, usable, usable - before, broken))

    def _look_after(self, now: int) -> None:
        """What the directors' keepers do by themselves."""
        for event in self.operator.due(now):
            if self._times[-1:] != [now / SECOND]:
                self._sample(now)
            self._carry_out(event, now)

    def _reconnect(self, lost: set[RealServer], now: int) -> None:
        """Clients whose server went find out by their next packet, and come back at once from another port."""
        places = self.places
        gone = {
            (at, places.of[server]) for at, node in enumerate(self.nodes) for server in node.servers if server in lost
        }
        for flow in reconnect.under_way(self.traffic, now):
            node = self._route[flow]
            now_at = node, places.again.get(flow, places.placed[flow])
            if now_at not in gone or places.gone[flow] or not places.fresh[flow]:
                continue
            mark = self._marks[flow] if self._marks else 0
            last, *opening = reconnect.packets(self.traffic, flow)
            receive = self.nodes[node].receive
            receive(last, "client", mark)
            server = receive(opening[0], "client", mark).server
            if server is None:
                places.gone[flow] = LEFT
                continue
            places.reopened += 1
            places.again[flow] = places.number(server)
            if places.again[flow] in places.dead:
                places.gone[flow] = LOST
                continue
            if self.traffic.of(flow).replies:
                self._loop.answer(flow, OPENED, node, b"")
            for packet in opening[1:]:
                receive(packet, "client", mark)

    def _measure(self, name: str) -> float:
        row = self._samples[-1]
        if name == "refused":
            return self.places.gone.count(REFUSED)
        values = row[0] if name == "opened" else row[1]
        return max(values, default=0) if name == "most_active" else sum(values)

    # --- what is counted ---

    def _learn(self) -> None:
        """Give numbers to servers that came."""
        places = self.places
        for node in self.nodes:
            for server, name in node.servers.items():
                if server not in places.of:
                    if name not in self._numbers:
                        self._numbers[name] = len(self._numbers)
                        address, port = split(name)
                        places.addresses.append(address)
                        places.ports.append(port.to_bytes(2, "big"))
                    places.of[server] = self._numbers[name]
        places.dead.clear()
        places.dead.update(self._numbers[name] for name in self.operator.names if name in self._numbers)

    def _usable(self) -> set[int]:
        return {
            number
            for server, number in self.places.of.items()
            if server.available and server.weight > 0 and number not in self.places.dead
        }  # fmt: skip

    def _advance(self, now: int) -> None:
        for node in self.nodes:
            node.clock.advance_to(now)

    def _columns(self) -> Sample:
        size = len(self._numbers)
        return self._express.sample(size) if self._express is not None else columns(self.places.of, size)

    def _sample(self, now: int) -> None:
        self._times.append(now / SECOND)
        self._samples.append(self._columns())

    def _noted(self, complete: bool) -> Noted:
        names, places = list(self._numbers), self.places
        return Noted(
            names, np.array(self._times), grids(self._samples, len(names)), self._changes,
            np.array(places.placed, np.int32), np.array(places.fresh, np.uint8), np.array(places.gone, np.uint8),
            places.again, places.reused, places.reopened, self._queues.waits if self._queues is not None else [], complete,
        )  # fmt: skip


def drawn(scenario: Scenario, seed: int) -> Drawn:
    """The traffic of a seed, and where it goes."""
    made = traffic.draw(scenario, seed)
    return Drawn(made, measures.spread(made, scenario.spread, scenario.directors, seed))


def simulate(scenario: Scenario, variant: str, seed: int, progress: Progress | None = None) -> Outcome:
    """One run of a scenario."""
    return Engine(scenario, variant, seed).run(progress)
