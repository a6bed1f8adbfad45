"""A scenario's streams of traffic and its events, and what can be told of them before they are run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ipvssim.clock import SECOND
from ipvssim.lab.scenario import laws
from ipvssim.lab.scenario.pools import Pool
from ipvssim.lab.scenario.reader import LONGEST, ScenarioError, shown
from ipvssim.lab.scenario.rules import Rules

SAMPLES = 200
MOST_SAMPLES = 20_000_000
"""Times servers."""
MOST_PACKETS = 200_000_000
SHORTEST = 0.003
"""Seconds from a connection's first packet to the last answer, at least: then its user is free for the next."""
NUMBERED = ("remove", "add", "weight", "fail", "recover")
"""Events of one server, by its number."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Connections to one service; ``arrivals``, ``durations`` and ``clients`` are checked, and read where they are drawn."""

    service: str
    arrivals: Mapping[str, Any]
    durations: Mapping[str, Any]
    clients: Mapping[str, Any]
    connections: int
    """How many; 0: as many as come in ``seconds``."""
    seconds: float
    packets: int
    """Packets of data, between the opening and the closing."""
    close: str
    replies: bool | None
    """Whether servers' replies pass the director; None: where its servers are masqueraded."""
    start: float
    reconnect: bool
    """Whether clients come back with a new connection when the server of one that is under way goes."""
    pcap: str
    place: str
    users: int = 0
    """Closed-loop clients, instead of arrivals: each waits for the end of its connection, thinks, and opens its next."""
    think: Mapping[str, Any] = field(default_factory=dict)
    """How long it thinks (a law of durations); empty: not at all."""
    pool: Pool | None = None
    """Keep-alive connections: then ``arrivals`` are of requests, and ``durations`` theirs."""

    def expected(self) -> float:
        """How many connections come, about; a capture's are not known."""
        if self.pcap:
            return 0.0
        if self.users:
            return self.connections or self.users * (self.seconds / self._turn() + 1)
        return self.connections or laws.arrivals(self.arrivals).expected(self.seconds)

    def until(self) -> float:
        """When the last connection has come, at the latest; infinite where chance or a capture decides."""
        if self.pcap:
            return math.inf
        if not self.connections:
            return self.start + self.seconds
        if self.users:
            return math.inf
        law = laws.arrivals(self.arrivals)
        return math.inf if law.kind == "poisson" else self.start + law.lasting(self.connections)

    def lasting(self) -> float:
        """For how many seconds connections come, about."""
        if self.pcap or not self.connections:
            return self.seconds
        if self.users:
            return self.connections / self.users * self._turn()
        return laws.arrivals(self.arrivals).lasting(self.connections)

    def _turn(self) -> float:
        """How long a user takes from one connection to its next, about."""
        thinking = laws.durations(self.think).usual if self.think else 0.0
        return max(laws.durations(self.durations).usual, SHORTEST) + thinking


@dataclass(frozen=True, slots=True)
class Event:
    """What an administrator does, on some directors (None: on all): at a time, or when a measure first passes a limit."""

    action: str
    server: int
    weight: int
    rules: str
    at: float | None
    measure: str
    above: float
    directors: tuple[int, ...] | None
    place: str
    address: str
    """The server's, where it is one of the laboratory's own numbering."""

    @property
    def label(self) -> str:
        """In a few words."""
        what = self.action
        if self.address:
            what += f" server {self.server} ({self.address})"
        if self.action == "weight":
            what += f" = {self.weight}"
        return f"{what} at {self.at:g} s" if self.at is not None else f"{what} when {self.measure} > {self.above:g}"


def check_sizes(streams: Sequence[Stream], sample: float, servers: int) -> None:
    """ScenarioError for a run that no memory holds, or that nobody waits for."""
    if sum(stream.expected() for stream in streams) > laws.MOST_CONNECTIONS:
        raise ScenarioError(
            f"traffic: more than {laws.MOST_CONNECTIONS:,} connections; make it shorter, or its rate smaller"
        )
    if sum(stream.expected() * (stream.packets + 6) for stream in streams) > MOST_PACKETS:
        raise ScenarioError(f"traffic: more than {MOST_PACKETS:,} packets")
    for stream in streams:
        lasting = stream.lasting()
        if stream.start + lasting > LONGEST:
            raise ScenarioError(f"{stream.place}: it goes on for more than {LONGEST:,.0f} s")
        if sample and (stream.start + lasting) / sample * max(servers, 1) > MOST_SAMPLES:
            raise ScenarioError(f"sample: {sample:g} s would make more than {MOST_SAMPLES:,} samples of servers")


def check_events(events: Iterable[Event], streams: Sequence[Stream], rules: Rules, directors: int) -> None:
    """ScenarioError for an event that can't happen: too late, or of a server or director that is not there."""
    end = max(stream.until() for stream in streams)
    listed = list(events)
    there = {*range(rules.servers), *(event.server for event in listed if event.action == "add")}
    for event in listed:
        if event.at is not None and event.at >= end:
            raise ScenarioError(f"{event.place}.at: {event.at:g} s is not before the end of the run ({end:g} s)")
        if event.action in ("remove", "weight", "fail") and event.server not in there:
            raise ScenarioError(f"{event.place}.server: there is no server {event.server} (0 to {rules.servers - 1})")
        _check_health(event, listed)
        for number in event.directors or ():
            if not 0 <= number < directors:
                raise ScenarioError(f"{event.place}.directors: there is no director {number} (0 to {directors - 1})")


def _check_health(event: Event, listed: Sequence[Event]) -> None:
    if event.action == "recover" and not any(one.action == "fail" and one.server == event.server for one in listed):
        raise ScenarioError(f"{event.place}.server: no event lets server {event.server} fail, so it can't recover")
    if event.action in ("fail", "recover") and event.directors is not None:
        raise ScenarioError(
            f"{event.place}.directors: {shown(list(event.directors))} is not possible: a server fails for all directors"
        )


def last_moment(streams: Sequence[Stream], timed: Sequence[Event], last: int) -> int:
    """The end of a run in microseconds: its last arrival, or an event between that and the end that the scenario says. Where
    chance makes the end (so many connections, as they come), ScenarioError for an event after it."""
    said = max((stream.until() for stream in streams if not math.isinf(stream.until())), default=0.0)
    for event in timed:
        at = event.at or 0.0
        if at * SECOND >= max(last, said * SECOND):
            raise ScenarioError(f"{event.place}.at: {at:g} s is not before the end of the run ({last / SECOND:g} s)")
        last = max(last, round(at * SECOND) + 1)
    return last
