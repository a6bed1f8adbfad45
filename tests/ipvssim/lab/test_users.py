"""Closed-loop clients: each waits for the end of its connection, thinks, and opens its next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ipvssim.lab import ScenarioError, build, simulate
from ipvssim.lab.run.flows import Flows
from ipvssim.lab.run.traffic import draw

TRAFFIC: dict[str, Any] = {
    "users": 50, "think": {"kind": "exponential", "mean": 3}, "durations": {"kind": "exponential", "mean": 2},
    "seconds": 400,
}  # fmt: skip
FIXED: dict[str, Any] = {
    "users": 5, "think": {"kind": "fixed", "seconds": 3}, "durations": {"kind": "fixed", "seconds": 2}, "seconds": 100,
}  # fmt: skip


def raw(traffic: dict[str, Any] = TRAFFIC, **more: Any) -> dict[str, Any]:
    return {"table": {"servers": 4}, "traffic": traffic, **more}


def flows(seed: int = 1, **changes: Any) -> Flows:
    return draw(build(raw({**TRAFFIC, **changes})), seed).flows[0]


def test_every_turn_by_the_clock() -> None:
    """Fixed times give each user a connection every think + duration seconds, the first after one thought."""
    found = draw(build(raw(FIXED)), 1).flows[0]
    assert len(found) == 5 * 20
    for user in range(5):
        assert (found.opened[found.client == user] / 1e6).tolist() == [3.0 + 5 * turn for turn in range(20)]
    run = simulate(build(raw(FIXED)), "rr", 1)
    assert run.counts["opened"] == run.counts["offered"] == 100


@pytest.mark.parametrize("kind", ["exponential", "pareto", "fixed"])
@pytest.mark.parametrize("think", [None, 3])
def test_a_user_has_one_connection_at_a_time(kind: str, think: float | None) -> None:
    """No user opens a connection before its last one is over, whatever the laws; nobody thinks where none is said."""
    law = {"kind": kind, "seconds" if kind == "fixed" else "mean": 2, **({"shape": 1.5} if kind == "pareto" else {})}
    thinking = {**law, "seconds" if kind == "fixed" else "mean": think} if think else {}
    found = flows(durations=law, think=thinking)
    for user in range(50):
        mine = np.flatnonzero(found.client == user)
        waits = found.opened[mine[1:]] - found.closed[mine[:-1]]
        assert (waits >= 0).all()
        if think is None:
            assert found.opened[mine[0]] == 0
            assert waits.max(initial=0) <= 3000


def test_the_law_of_response_time() -> None:
    """N users with durations of R and thoughts of Z make N / (R + Z) connections a second, and N R / (R + Z) are open."""
    run = simulate(build(raw()), "rr", 1)
    assert run.counts["opened"] == pytest.approx(50 * 400 / 5, rel=0.05)
    active = run.grids["active"].sum(1)
    assert active[len(active) // 4 :].mean() == pytest.approx(50 * 2 / 5, rel=0.05)
    assert active.max() <= 50


def test_longer_connections_are_fewer() -> None:
    """Twice the duration slows users down, as it does not open-loop clients: 50 / 7 connections a second, not 50 / 5."""
    slower = flows(durations={"kind": "exponential", "mean": 4})
    assert len(slower) == pytest.approx(50 * 400 / 7, rel=0.05)


@pytest.mark.parametrize("count", [1, 49, 50, 1000])
def test_so_many_connections(count: int) -> None:
    """``connections`` takes the first ones of all users, wherever the drawing stops."""
    some, more = (flows(seconds=0, connections=number) for number in (count, count + 200))
    assert len(some) == count
    assert (np.diff(some.opened) >= 0).all()
    for user in range(50):
        mine, longer = some.opened[some.client == user], more.opened[more.client == user]
        assert mine.tolist() == longer[: len(mine)].tolist()
        assert len(longer) == len(mine) or longer[len(mine)] >= some.opened[-1]


def test_whose_they_are() -> None:
    """Every user has an address, unless clients say where users are: behind a NAT, a share of them has one."""
    assert len(np.unique(flows().client)) == 50
    shared = flows(users=400, clients={"kind": "nat", "count": 1000, "share": 0.5})
    assert np.bincount(shared.client).max() / len(shared) == pytest.approx(0.5, abs=0.06)


def test_a_seed_is_a_run() -> None:
    """The same seed draws the same turns, another seed others; a start shifts them all."""
    assert flows().opened.tolist() == flows().opened.tolist() != flows(2).opened.tolist()
    assert np.abs(flows(start=7).opened - flows().opened - 7_000_000).max() <= 1  # µs: what is left over is cut off


@pytest.mark.parametrize("service", ["-u 203.0.113.1:53", "--sctp-service 203.0.113.1:5060", "-t [2001:db8:80::1]:80"])
@pytest.mark.parametrize("options", ["-g", "-m"])
def test_over_every_protocol(service: str, options: str) -> None:
    """The shortest connections of users who never think end before the next begins, with answers and without."""
    traffic = {"users": 3, "durations": {"kind": "fixed", "seconds": 0.0001}, "connections": 90}
    scenario = build({"table": {"servers": 3, "service": service, "options": options}, "traffic": traffic})
    run = simulate(scenario, "rr", 1)
    assert run.counts["opened"] == 90
    assert run.grids["opened"][-1].tolist() == [30, 30, 30]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"traffic.users": 0}, "traffic.users: 0 is not from 1 to 4,000,000"),
        ({"traffic.users": 1.5}, "traffic.users: 1.5 is not a whole number"),
        ({"traffic.think": 3}, "traffic.think: 3 is not a table"),
        ({"traffic.think.mean": 0}, "traffic.think.mean: 0 is not above 0"),
        ({"traffic.think.kind": "slow"}, "traffic.think.kind: 'slow' is none of fixed, exponential, pareto"),
        ({"traffic.arrivals": {"kind": "constant", "rate": 1}}, "traffic: say either arrivals or users"),
        ({"traffic.seconds": 0}, "either how many connections come or for how many seconds"),
        ({"traffic.users": 4_000_000}, "traffic: more than 20,000,000 connections"),
        ({"traffic.seconds": 0, "traffic.connections": 999, "traffic.think.mean": 1e8}, "goes on for more than"),
        ({"traffic": {"pcap": "x", "users": 3}}, "traffic.users: unknown"),
        ({"traffic": {"arrivals": {"kind": "constant", "rate": 1}, "seconds": 1, "think": {}}}, "traffic.think: unknown"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(changed: dict[str, Any], words: str) -> None:
    """Users that can't be are refused before a run, with their place, their value and what is allowed."""
    with pytest.raises(ScenarioError) as refused:
        build(raw()).changed(changed)
    assert words in str(refused.value)
