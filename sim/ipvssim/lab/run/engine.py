"""A run: the traffic of one seed through the directors of one variant. Every decision is the director's.

The loop over packets does nothing but let time pass and hand packets over; what is reported is counted afterwards, from
where each connection went and from samples of the directors' own counters.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ipvssim.clock import SECOND
from ipvssim.lab.run import measures, reconnect, requests, traffic
from ipvssim.lab.run.nodes import Node
from ipvssim.lab.run.operator import TAKE_OUT, Operator
from ipvssim.lab.run.outcome import Change, Outcome, columns, grids
from ipvssim.lab.run.queues import Planned, Queues
from ipvssim.lab.run.wires import OPEN, OPENED, RAW, reply
from ipvssim.lab.scenario.definition import Scenario, parted, period
from ipvssim.lab.scenario.rules import split
from ipvssim.lab.scenario.values import Event, last_moment
from ipvssim.state.namespace import RELEASE
from ipvssim.state.services import RealServer

Progress = Callable[[int, int], object]
"""Told the packets done, and how many there are."""
_NOWHERE = -1
_COLLECT_AFTER = 200_000
_REFUSED, _LEFT, _UNANSWERED, _LOST = 1, 2, 3, 4
"""Why a client sends nothing more: no server took its connection; none did when it came back; its first packet went to a
dead server; or, in the midst of its connection, one did that was to open it anew."""


class Engine:
    """One run, from :meth:`run`."""

    def __init__(self, scenario: Scenario, variant: str, seed: int, *, tracing: bool = False) -> None:
        self.scenario = scenario
        self.variant = variant
        self.seed = seed
        self.traffic = traffic.draw(scenario, seed)
        words, kernel = parted(variant)
        self._lines = scenario.rules.lines(words)
        self.nodes = [
            Node(self._lines, scenario.sysctls, seed=seed * 1000 + number, tracing=tracing, release=kernel or RELEASE)
            for number in range(scenario.directors)
        ]
        self.operator = Operator(scenario, self._lines, self.nodes)
        self._dead: set[int] = set()
        """The numbers of the servers that answer nothing."""
        self._numbers: dict[str, int] = {}
        self._of: dict[RealServer, int] = {}
        self._addresses: list[tuple[bytes, int]] = []
        self._learn()
        count = self.traffic.count
        self.placed = [_NOWHERE] * count
        """The number of the server that each connection went to."""
        self._fresh = bytearray(count)
        self._gone = bytearray(count)
        self._again: dict[int, int] = {}
        """Where connections are now whose clients came back with another, since their server went."""
        self._reused = self._reopened = self._done = 0
        self._route = measures.spread(self.traffic, scenario.spread, scenario.directors, seed)
        marked = any(flows.end.mark for flows in self.traffic.flows)
        self._marks = [flows.end.mark for flows in self.traffic.flows for _ in range(len(flows) * marked)]
        self._queues = Queues(self.traffic, scenario.rules.capacity) if scenario.rules.capacity else None
        self._samples: list[list[list[int]]] = []
        self._times: list[float] = []
        self._changes: list[Change] = []

    # --- the course of a run ---

    def run(self, progress: Progress | None = None) -> Outcome:
        """Everything from the beginning to the last arrival; KeyboardInterrupt ends it early, with what there is by then."""
        when = self.traffic.when
        timed = sorted((event for event in self.scenario.events if event.at is not None), key=lambda one: one.at or 0.0)
        end = last_moment(self.scenario.streams, timed, self.traffic.last_arrival + 1)
        step = max(round(period(self.scenario, end / SECOND) * SECOND), 1)
        waiting = [event for event in self.scenario.events if event.at is None]
        total = int(np.searchsorted(when, end))
        now, complete = 0, True
        thresholds = gc.get_threshold()
        gc.set_threshold(_COLLECT_AFTER, 20, 100)
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
            complete = False
            del self._times[len(self._samples) :]  # it may have come in the midst of a sample
            self._sample(max(node.clock.now for node in self.nodes))
        finally:
            gc.set_threshold(*thresholds)
        return self._outcome(complete)

    def _play(self, at: int, total: int, progress: Progress | None) -> None:
        """Hand over the packets before a time."""
        for planned in self.traffic.chunks(self._done, int(np.searchsorted(self.traffic.when, at))):
            packets = zip(*planned, strict=True)
            self._hand_over(packets if self._queues is None else self._queues.packets(packets))
            self._done += len(planned[0])
            if progress is not None:
                progress(self._done, total)
        if self._queues is not None:
            self._hand_over(self._queues.before(at))

    def _hand_over(self, packets: Iterable[Planned]) -> None:
        placed, fresh, gone, route, of = self.placed, self._fresh, self._gone, self._route, self._of
        dead, queues = self._dead, self._queues
        receives = [node.receive for node in self.nodes]
        clocks = [node.clock.advance_to for node in self.nodes]
        marks = self._marks
        for when, kind, flow, packet in packets:
            if gone[flow]:
                continue
            node = route[flow]
            clocks[node](when)
            if packet is None:
                self._reply(flow, kind, receives[node])
                continue
            result = receives[node](packet, "client", marks[flow] if marks else 0)
            if result.opened:
                server = result.server
                assert server is not None
                if fresh[flow]:
                    self._reopened += 1
                fresh[flow] = 1
                number = of.get(server)
                placed[flow] = self._number(server) if number is None else number
                if placed[flow] in dead:
                    gone[flow] = _UNANSWERED if kind in (OPEN, RAW) else _LOST
                elif queues is not None and kind == OPEN:
                    queues.opened(flow, placed[flow], when)
            elif kind == OPEN:
                self._not_opened(flow, result.server)

    def _not_opened(self, flow: int, server: RealServer | None) -> None:
        """A first packet that met a connection it belongs to by accident, or none at all."""
        if server is None:
            self._gone[flow] = _REFUSED
            return
        self._reused += 1
        self.placed[flow] = self._number(server)
        if self.placed[flow] in self._dead:
            self._gone[flow] = _UNANSWERED

    def _reply(self, flow: int, kind: int, receive: Callable[[bytes, str], Any]) -> None:
        server = self._again.get(flow, self.placed[flow])
        if server == _NOWHERE or server in self._dead:
            return
        flows = self.traffic.of(flow)
        own = flow - flows.first
        client = flows.addresses[flows.client[own]].tobytes()
        receive(reply(flows.end.protocol, kind, self._addresses[server], client, int(flows.port[own])), "server")

    # --- events ---

    def _carry_out(self, event: Event, now: int) -> None:
        before = self._usable()
        listed = [server for server in self._of if server.available]
        active = {server: server.active for server in listed if self._of[server] not in self._dead}
        self.operator.carry_out(event, now)
        self._learn()
        usable = self._usable()
        broken = sum(active[server] for server in active if not server.available or self._of[server] in self._dead)
        lost = {server for server in listed if not server.available}
        if event.action == TAKE_OUT:  # by its weight, it may be: the checks know that it is dead
            lost |= {server for server in listed if self._of[server] in self._dead and server.weight == 0}
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
        gone = {
            (at, self._of[server]) for at, node in enumerate(self.nodes) for server in node.servers if server in lost
        }
        for flow in reconnect.under_way(self.traffic, now):
            node = self._route[flow]
            if (
                (node, self._again.get(flow, self.placed[flow])) not in gone
                or self._gone[flow]
                or not self._fresh[flow]
            ):
                continue
            mark = self._marks[flow] if self._marks else 0
            last, *opening = reconnect.packets(self.traffic, flow)
            receive = self.nodes[node].receive
            receive(last, "client", mark)
            server = receive(opening[0], "client", mark).server
            if server is None:
                self._gone[flow] = _LEFT
                continue
            self._reopened += 1
            self._again[flow] = self._number(server)
            if self._again[flow] in self._dead:
                self._gone[flow] = _LOST
                continue
            if self.traffic.of(flow).replies:
                self._reply(flow, OPENED, receive)
            for packet in opening[1:]:
                receive(packet, "client", mark)

    def _measure(self, name: str) -> float:
        row = self._samples[-1]
        if name == "refused":
            return self._gone.count(_REFUSED)
        values = row[0] if name == "opened" else row[1]
        return max(values, default=0) if name == "most_active" else sum(values)

    # --- what is counted ---

    def _number(self, server: RealServer) -> int:
        found = self._of.get(server)
        if found is None:
            self._learn()
            found = self._of[server]
        return found

    def _learn(self) -> None:
        """Give numbers to servers that came."""
        for node in self.nodes:
            for server, name in node.servers.items():
                if server not in self._of:
                    if name not in self._numbers:
                        self._numbers[name] = len(self._numbers)
                        self._addresses.append(split(name))
                    self._of[server] = self._numbers[name]
        self._dead.clear()
        self._dead.update(self._numbers[name] for name in self.operator.names if name in self._numbers)

    def _usable(self) -> set[int]:
        return {
            number
            for server, number in self._of.items()
            if server.available and server.weight > 0 and number not in self._dead
        }  # fmt: skip

    def _advance(self, now: int) -> None:
        for node in self.nodes:
            node.clock.advance_to(now)

    def _columns(self) -> list[list[int]]:
        return columns(self._of, len(self._numbers))

    def _sample(self, now: int) -> None:
        self._times.append(now / SECOND)
        self._samples.append(self._columns())

    def _outcome(self, complete: bool) -> Outcome:
        names = list(self._numbers)
        placed = np.array(self.placed, np.int64)
        heat, clients = measures.heat(self.traffic, placed, len(names), self.scenario.heat)
        counts = {
            "offered": int((placed != _NOWHERE).sum()) + self._gone.count(_REFUSED),
            "opened": sum(self._samples[-1][0]) if self._samples else 0,
            "refused": self._gone.count(_REFUSED),
            "reused": self._reused,
            "reopened": self._reopened,
        }
        if any(event.action == "fail" for event in self.scenario.events):
            counts["dead"] = self._gone.count(_UNANSWERED) + self._gone.count(_LOST)
        outcome = Outcome(
            self.variant, self.seed, names, np.array(self._times), grids(self._samples, len(names)), self._changes,
            heat, clients, counts, complete,
        )  # fmt: skip
        ends = np.where(np.frombuffer(self._fresh, np.uint8) > 0, placed, _NOWHERE)
        gone = np.frombuffer(self._gone, np.uint8)
        ends[gone == _REFUSED] = measures.REFUSED
        if self._queues is not None and self._queues.waits:
            outcome.figures["waited"] = float(np.mean(self._queues.waits)) / SECOND
        requests.judge(outcome, self.traffic, placed, self._again, gone)
        measures.judge(outcome, self.traffic, ends, self._route, gone == _UNANSWERED)
        return outcome


def simulate(scenario: Scenario, variant: str, seed: int, progress: Progress | None = None) -> Outcome:
    """One run of a scenario."""
    return Engine(scenario, variant, seed).run(progress)
