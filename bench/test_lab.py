"""What the scheduler laboratory costs: a million connections over a hundred servers, and what more servers add.

Seconds are of the processor, on one core, so that whatever else runs on the machine is left out. Run it by
``pytest -s bench/test_lab.py``: ``make bench`` keeps out what pytest-benchmark does not measure.
"""

from __future__ import annotations

import time

import pytest

pytest.importorskip("numpy", reason="the laboratory of schedulers needs numpy: pip install 'ipvsnl[lab]'")

from ipvssim.lab import build
from ipvssim.lab.run.engine import Engine
from ipvssim.lane import compiled

MILLION = 1_000_000
MOST_SECONDS = 5 if compiled else 60
MOST_GROWTH = {"wlc": 1.5, "rr": 1.5, "mh": 2.0}


def cost(servers: int, connections: int, scheduler: str = "wlc", options: str = "-g", *, lanes: bool = True) -> float:
    """Processor seconds of a run: traffic, directors and figures. ``lanes``: on the express lane where that can be."""
    scenario = build({
        "table": {"servers": servers, "options": options},
        "traffic": {
            "arrivals": {"kind": "poisson", "rate": 5000},
            "durations": {"kind": "exponential", "mean": 5},
            "clients": {"kind": "uniform", "count": 100_000},
            "connections": connections,
        },
    })  # fmt: skip
    began = time.process_time()
    outcome = Engine(scenario, scheduler, 1, lanes=lanes).run()
    assert outcome.counts["opened"] == connections
    return time.process_time() - began


def test_a_million_connections_over_a_hundred_servers() -> None:
    """At most 5 s on one core, under wlc (60 without C)."""
    seconds = cost(100, MILLION)
    print(f"\n1,000,000 connections over 100 servers under wlc: {seconds:.1f} s, {seconds:.1f} µs a connection")
    assert seconds <= MOST_SECONDS


@pytest.mark.parametrize("scheduler", ["wlc", "rr", "mh"])
def test_servers_cost_little(scheduler: str) -> None:
    """A connection over 1,000 servers costs at most half as much again as one over 10 on the lane, else at most twice as
    much."""
    cost(10, 5_000, scheduler)  # what is done once: imports, the first of everything
    count = MILLION if compiled and scheduler != "mh" else 50_000
    few, many = (min(cost(servers, count, scheduler) for _ in range(3)) / count * 1e6 for servers in (10, 1000))
    print(f"\n{scheduler}: {few:.1f} µs a connection over 10 servers, {many:.1f} µs over 1,000 ({many / few:.2f}x)")
    assert many <= MOST_GROWTH[scheduler] * few


@pytest.mark.parametrize("options", ["-g", "-m", "-i"])
def test_forwarding_methods(options: str) -> None:
    """What a connection costs by method: three packets of the client, or six with the server's under translation."""
    seconds = cost(100, 50_000, options=options)
    print(f"\n{options}: {seconds * 20:.1f} µs a connection")
