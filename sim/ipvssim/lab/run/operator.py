"""Who administers the directors of a run: carries out events, checks servers, and gives weights step by step.

Each director is told only what its own table asks for: a server that an administrator removed there is not brought back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ipvssim.clock import SECOND
from ipvssim.lab.run.nodes import Node
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.scenario.values import Event
from ipvssim.state.services import RealServer

TAKE_OUT, BRING_BACK = "take out", "bring back"
"""What the checks make of a server, as the actions of events."""
_BY_WEIGHT = "weight 0"
Key = tuple[int, int]
"""A server at a director: the scenario's number of each."""


class Operator:
    """One for all directors of a run. Servers have the scenario's numbers here."""

    def __init__(self, scenario: Scenario, lines: Sequence[str], nodes: Sequence[Node]) -> None:
        self._rules = scenario.rules
        self._checks = scenario.checks
        self._slow = scenario.slow_start
        self._lines = lines
        self._nodes = nodes
        self.dead: set[int] = set()
        """The servers that answer nothing."""
        self._down: set[Key] = set()
        """Those that a director's checks think dead."""
        self._streak: dict[Key, int] = {}
        """How many checks in a row said something else of a server than is thought of it."""
        self._verdicts: list[tuple[int, Event]] = []
        self._held: dict[Key, int] = {}
        """The weight of a server that was taken out, which it comes back with."""
        self._growing: dict[Key, list[tuple[int, int]]] = {}
        """When a server gets which weight."""

    @property
    def names(self) -> set[str]:
        """The dead servers as ``address:port``."""
        return {self._rules.server(number) for number in self.dead}

    # --- what happens by itself ---

    def next(self, now: int) -> float:
        """When something happens by itself, after ``now``; infinite where nothing does."""
        times: list[float] = [at for at, _ in self._verdicts]
        times += [steps[0][0] for steps in self._growing.values()]
        if self._checks is not None and (self._streak or self._differing()):
            interval = self._interval(self._checks.interval)
            times.append((now // interval + 1) * interval)
        return min(times, default=math.inf)

    def due(self, now: int) -> list[Event]:
        """Give the weights that are due, check servers where it is time, and tell what the checks decided by now."""
        for (server, number), steps in list(self._growing.items()):
            while steps and steps[0][0] <= now:
                self._nodes[number].administer([self._rules.edit(server, steps.pop(0)[1])])
            if not steps:
                del self._growing[server, number]
        if self._checks is not None and now % self._interval(self._checks.interval) == 0:
            self._check(now)
        found = [event for at, event in self._verdicts if at <= now]
        self._verdicts = [(at, event) for at, event in self._verdicts if at > now]
        return found

    @staticmethod
    def _interval(seconds: float) -> int:
        return max(round(seconds * SECOND), 1)

    def _differing(self) -> set[Key]:
        """Where the checks think something else of a server than is. They think nothing of one that its director lacks."""
        dead = {(server, number) for server in self.dead for number in range(len(self._nodes))}
        return {key for key in dead ^ self._down if key in self._held or self._there(*key)}

    def _check(self, now: int) -> None:
        assert self._checks is not None
        self._streak = {key: self._streak.get(key, 0) + 1 for key in self._differing()}
        enough = (self._checks.rise, self._checks.fall)
        sure = {key for key, streak in self._streak.items() if streak >= enough[key[0] in self.dead]}
        self._down ^= sure
        for server in sorted({server for server, _ in sure}):
            dead = server in self.dead
            at = now + round(self._checks.timeout * SECOND) * dead
            numbers = tuple(sorted(number for one, number in sure if one == server))
            event = Event(
                TAKE_OUT if dead else BRING_BACK, server, 0, "", at / SECOND, "", 0.0, numbers, "checks",
                self._rules.address(server),
            )  # fmt: skip
            self._verdicts.append((at, event))
        self._streak = {key: streak for key, streak in self._streak.items() if key not in sure}

    # --- events ---

    def carry_out(self, event: Event, now: int) -> None:
        """Do what an event says, on its directors."""
        if event.action == "fail":
            self.dead.add(event.server)
        elif event.action == "recover":
            self.dead.discard(event.server)
        else:
            for number in range(len(self._nodes)) if event.directors is None else event.directors:
                lines = self._told(event, number, now)
                if lines:
                    self._nodes[number].administer(lines)

    def _told(self, event: Event, number: int, now: int) -> list[str]:
        """The rules for one director."""
        if event.action == "rules":
            return [line.strip() for line in event.rules.splitlines() if line.strip()]
        if event.action == "reload":
            for key in [key for key in {*self._down, *self._growing} if key[1] == number]:
                self._forget(key)
            return ["-C", *self._lines]
        key = event.server, number
        growing = self._growing.pop(key, [])
        if event.action == TAKE_OUT:
            return self._take_out(key, growing)
        if event.action == BRING_BACK:
            return self._bring_back(key, now)
        if event.action == "add":
            self._forget(key)
            return [self._rules.add(event.server, self._first(key, event.weight, now))]
        return self._changed(key, event)

    def _changed(self, key: Key, event: Event) -> list[str]:
        """An administrator's word on a server; of one that the checks have taken out, it waits until it comes back."""
        held = key in self._held
        if event.action == "weight":
            if held:
                self._held[key] = event.weight
                return []
            return [self._rules.edit(event.server, event.weight)]
        self._held.pop(key, None)
        return [self._rules.remove(event.server)] if not held or self._there(*key) else []

    def _take_out(self, key: Key, growing: list[tuple[int, int]]) -> list[str]:
        assert self._checks is not None
        server = self._there(*key)
        if server is None or key not in self._down:  # an administrator came between the check and its end
            return []
        self._held[key] = growing[-1][1] if growing else server.weight
        by_weight = self._checks.action == _BY_WEIGHT
        return [self._rules.edit(key[0], 0) if by_weight else self._rules.remove(key[0])]

    def _bring_back(self, key: Key, now: int) -> list[str]:
        weight = self._held.pop(key, None)
        if weight is None:
            return []
        first = self._first(key, weight, now)
        return [self._rules.edit(key[0], first) if self._there(*key) else self._rules.add(key[0], first)]

    def _first(self, key: Key, weight: int, now: int) -> int:
        """The weight that a server comes with; where it grows, its next ones are noted."""
        weights = self._slow.weights(weight) if self._slow is not None else []
        if self._slow is None or not weights:
            return weight
        every = self._interval(self._slow.every)
        self._growing[key] = [(now + turn * every, each) for turn, each in enumerate(weights, 1)]
        return self._slow.first

    def _forget(self, key: Key) -> None:
        """What is known of a server that is put into a table anew."""
        self._down.discard(key)
        for known in (self._streak, self._held, self._growing):
            known.pop(key, None)

    def _there(self, server: int, number: int) -> RealServer | None:
        """The server in a director's table."""
        name = self._rules.server(server)
        servers = self._nodes[number].servers
        return next((one for one, called in servers.items() if called == name and one.available), None)
