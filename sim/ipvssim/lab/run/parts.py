"""One run spread over processes: each plays the packets that come to some of the directors, and what they noted is joined.

The figures are those of the run in one process, to the last digit. What comes, and to which director, is drawn before the
first packet, here, and each process has it from here. Directors share nothing but who administers them, and that depends on
time alone: so each process has all of them administered, and lets packets come to its own. The exceptions, which stay in one
process, are servers with queues of their own (whose turn it is, all directors have a say in) and events that wait for a
measure (which is of all directors).

A run is not cut by time: a connection lives on, for minutes after its last packet, and what a scheduler picks depends on all
that came before. So nobody knows what the second stretch begins with until the first one is over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipvssim.lab.run import noted
from ipvssim.lab.run.engine import Drawn, Engine, Progress, drawn
from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.run.sweeps import START, WORKER, carry_out, pool
from ipvssim.lab.scenario.definition import Scenario

LEAST = 50_000
"""Connections of a run that is spread: of fewer, the processes cost more than they save."""


@dataclass(frozen=True, slots=True)
class Part:
    """Every so many-th director of a run, from a first one on."""

    first: int
    step: int

    @property
    def key(self) -> str:
        """What it is called."""
        return f"directors from {self.first} by {self.step}"

    def flows(self, route: list[int]) -> NDArray[np.bool_]:
        """Whether each connection is one of its directors'."""
        return np.asarray(np.array(route) % self.step == self.first)


@dataclass(frozen=True, slots=True)
class _Run:
    scenario: Scenario
    variant: str
    seed: int
    known: Drawn


_RUNS: list[_Run] = []
"""The run that is being spread: the workers' processes begin as copies of this one, and find it here."""


def spreads(scenario: Scenario) -> bool:
    """Whether its runs can be spread."""
    return (
        START == "fork"
        and scenario.directors > 1
        and not scenario.rules.capacity
        and all(event.at is not None for event in scenario.events)
    )  # fmt: skip


def simulate(
    scenario: Scenario, variant: str, seed: int, progress: Progress | None = None, *, jobs: int = 0, least: int = LEAST
) -> Outcome:  # fmt: skip
    """One run of a scenario, in up to ``jobs`` processes (0: one for each core) where it :func:`spreads` and has ``least``
    connections; else in this one. A KeyboardInterrupt ends a run that is spread with nothing, and goes on to the caller."""
    known = drawn(scenario, seed)
    count = min(jobs or os.cpu_count() or 1, scenario.directors) if spreads(scenario) else 1
    if count == 1 or known.traffic.count < least:
        return Engine(scenario, variant, seed, known=known).run(progress)
    parts = [Part(first, count) for first in range(count)]
    played: dict[Part, noted.Noted] = {}
    with _held(_Run(scenario, variant, seed, known)):
        workers = pool(jobs=count)
        try:
            for part, one in carry_out(parts, _play, workers):
                played[part] = one
                if progress is not None:
                    progress(len(played), count)
        finally:
            workers.close()
    whole = noted.joined([played[part] for part in parts], [part.flows(known.route) for part in parts])
    return noted.outcome(scenario, variant, seed, known.traffic, known.route, whole)


@contextmanager
def _held(run: _Run) -> Iterator[None]:
    _RUNS.append(run)
    try:
        yield
    finally:
        _RUNS.remove(run)


def _play(part: Part) -> noted.Noted:
    """In a worker: the packets of a part's directors."""
    run = _RUNS[-1]
    with WORKER.working():
        mine = part.flows(run.known.route)
        known = Drawn(run.known.traffic.of_flows(mine), run.known.route)
        found = Engine(run.scenario, run.variant, run.seed, known=known).play(WORKER.check)
        if not found.complete:
            raise KeyboardInterrupt
        return found.of(mine)
