"""Keep-alive pools: clients that hold connections, and send many requests over each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ipvssim.lab import ScenarioError, build, simulate
from ipvssim.lab.run import pools
from ipvssim.lab.run.traffic import draw
from ipvssim.lab.run.wires import ANSWER, DATA, OPEN
from ipvssim.lab.scenario.pools import Pool

TRAFFIC: dict[str, Any] = {
    "arrivals": {"kind": "poisson", "rate": 200}, "durations": {"kind": "exponential", "mean": 0.05}, "seconds": 60,
    "clients": {"kind": "uniform", "count": 20}, "pool": {"size": 4},
}  # fmt: skip


def raw(traffic: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"table": {"servers": 4, "options": "-m"}, "traffic": {**TRAFFIC, **(traffic or {})}, **more}


def drawn(pool: Pool, *requests: tuple[float, float]) -> tuple[list[tuple[float, float]], list[tuple[float, int]]]:
    """What one client's requests, each with its time and how long it takes, make of a pool."""
    times, lasting = (np.array(one, float) for one in zip(*requests, strict=True))
    opened, closed, _, begins, over = pools.drawn(pool, times, lasting, [0] * len(requests))
    return [*zip(opened, closed, strict=True)], [*zip(begins, over.tolist(), strict=True)]


def test_a_free_connection_is_used_again_the_last_one_first() -> None:
    """While one is busy another is opened; of free ones the one used last gets the request; both end by their idleness."""
    connections, requests = drawn(Pool(9, 0, 10), (0, 2), (1, 4), (6, 1), (6.5, 1))
    assert requests == [(0, 0), (1, 1), (6, 1), (6.5, 0)]
    assert connections == [(0, 17.5), (1, 17)]


def test_a_connection_ends_by_its_requests_or_by_idleness() -> None:
    """After so many requests it is closed and the next request opens another; so it does after so long without one."""
    assert drawn(Pool(9, 2, 10), (0, 1), (2, 1), (4, 1)) == ([(0, 3), (4, 15)], [(0, 0), (2, 0), (4, 1)])
    assert drawn(Pool(9, 0, 10), (0, 1), (11, 1)) == ([(0, 11), (11, 22)], [(0, 0), (11, 1)])


def test_a_full_pool_makes_requests_wait() -> None:
    """Where all connections are busy and there may be no more, the request goes over the first that gets free."""
    assert drawn(Pool(1, 0, 5), (0, 3), (1, 3), (2, 1)) == ([(0, 12)], [(0, 0), (3, 0), (6, 0)])
    connections, requests = drawn(Pool(1, 1, 5), (0, 3), (1, 3))
    assert requests == [(0, 0), (3, 1)] and connections == [(0, 3), (3, 6)]


def test_the_packets_are_those_of_the_requests() -> None:
    """A packet of data for each request, answered, after its connection was opened and before it is closed."""
    traffic = draw(build(raw()), 1)
    (flows,) = traffic.flows
    assert flows.requests is not None
    sent, over = flows.requests
    assert (traffic.kind == DATA).sum() == (traffic.kind == ANSWER).sum() == len(sent)
    assert (traffic.kind == OPEN).sum() == len(flows) < len(sent) / 20
    assert (sent > flows.opened[over]).all() and (sent < flows.closed[over]).all()


def test_pools_hide_requests_from_schedulers() -> None:
    """Least connections evens connections out: with pools the requests are less even than without; all are counted."""
    pooled = simulate(
        build(raw({"pool": {"size": 1}, "clients": {"kind": "zipf", "count": 20, "exponent": 1}})), "lc", 1
    )
    once = simulate(build(raw({"pool": {"size": 50, "requests": 1}})), "lc", 1)
    assert 0 <= once.counts["opened"] - once.counts["requests"] <= 1  # the run ends when the last one comes
    assert pooled.counts["requests"] > 50 * pooled.counts["opened"]
    assert pooled.figures["peak_requests"] > 1.2 > 1.1 > once.figures["peak_requests"]


def test_clients_of_pools_come_back() -> None:
    """With reconnect the later requests of a removed server's connections go to the others."""
    event = {"do": "remove", "server": 0, "at": 30}
    stays = simulate(build(raw(events=[event])), "rr", 1)
    back = simulate(build(raw({"reconnect": True}, events=[event])), "rr", 1)
    assert back.counts["reopened"] > 5 and back.grids["packets"][-1][1:].sum() > stays.grids["packets"][-1][1:].sum()


@pytest.mark.parametrize(("traffic", "table", "said"), [
    ({"pool": {"size": 0}}, {}, "pool.size"), ({"pool": {"size": 1, "idle": 0}}, {}, "pool.idle"),
    ({"pool": {"size": 1, "most": 1}}, {}, "most"), ({"packets": 3}, {}, "pool: it takes TCP"),
    ({"seconds": 0, "connections": 5}, {}, "pool: it takes TCP"),
    ({}, {"service": "-u 203.0.113.1:53"}, "pool: it takes TCP"), ({}, {"capacity": 3}, "traffic.pool: who waits"),
])  # fmt: skip
def test_what_no_pool_can_have_is_refused(traffic: dict[str, Any], table: dict[str, Any], said: str) -> None:
    """Each wrong value is named by its key."""
    scenario = raw(traffic)
    scenario["table"] = {**scenario["table"], **table}
    with pytest.raises(ScenarioError, match=said):
        build(scenario)
