"""Servers that serve so many connections at once: who waits, for how long, and what that does to closed-loop users."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ipvssim.lab import Outcome, ScenarioError, build, simulate
from ipvssim.lab.run.engine import Engine

EXPONENTIAL = {"kind": "exponential", "mean": 1}


def raw(traffic: dict[str, Any], capacity: int = 1, servers: int = 1, **more: Any) -> dict[str, Any]:
    table = {"servers": servers, "capacity": capacity, **more.pop("table", {})}
    return {"table": table, "traffic": traffic, **more}


def run(traffic: dict[str, Any], capacity: int = 1, servers: int = 1, variant: str = "rr", **more: Any) -> Outcome:
    return simulate(build(raw(traffic, capacity, servers, **more)), variant, 1)


def opened(outcome: Outcome, begin: float) -> float:
    """Connections a second from a time on."""
    column = outcome.grids["opened"].sum(1)
    at = int(np.searchsorted(outcome.times, begin))
    return float((column[-1] - column[at]) / (outcome.times[-1] - outcome.times[at]))


@pytest.mark.parametrize(("kind", "law"), [("fixed", 0.8 / (2 * 0.2)), ("exponential", 0.8 / 0.2)])
def test_one_server_is_the_queue_of_the_books(kind: str, law: float) -> None:
    """Poisson arrivals at one server wait as Pollaczek and Khinchine say: M/D/1 ρ/2(1-ρ), M/M/1 ρ/(1-ρ) durations."""
    traffic = {
        "arrivals": {"kind": "poisson", "rate": 0.8}, "seconds": 16000, "close": "rst",
        "durations": {"kind": kind, "seconds" if kind == "fixed" else "mean": 1},
    }  # fmt: skip
    assert run(traffic).figures["waited"] == pytest.approx(law, rel=0.12)


def test_several_places() -> None:
    """A server that serves four at once is M/M/4: Erlang's C, at 3.2 erlangs, is 0.5964, the wait 0.7455 durations."""
    traffic = {"arrivals": {"kind": "poisson", "rate": 3.2}, "seconds": 4000, "durations": EXPONENTIAL, "close": "rst"}
    assert run(traffic, 4).figures["waited"] == pytest.approx(0.5964 / (4 - 3.2), rel=0.12)


@pytest.mark.parametrize(("users", "rate"), [(4, 4 / 5), (10, 2), (50, 2)])
def test_busy_servers_slow_users_down(users: int, rate: float) -> None:
    """N users get N / (R + Z) connections a second until the servers' places are full, and c / R from there on."""
    fixed = {"kind": "fixed", "seconds": 1}
    traffic = {"users": users, "think": {"kind": "exponential", "mean": 4}, "durations": fixed, "seconds": 600}
    expected = rate * (0.9 if users == 10 else 1)  # at the bend it is below both bounds
    assert opened(run(traffic, 1, 2, "lc"), 100) == pytest.approx(expected, rel=0.1)


def test_open_loop_clients_do_not_slow_down() -> None:
    """The same servers under arrivals at twice what they can serve: all connections come, and wait longer and longer."""
    fixed = {"kind": "fixed", "seconds": 1}
    one = run({"arrivals": {"kind": "constant", "rate": 2}, "seconds": 100, "durations": fixed})
    assert one.counts["opened"] == 200
    assert one.figures["waited"] == pytest.approx(sum(0.5 * number for number in range(200)) / 200, rel=0.01)


def test_a_connection_that_waits_lasts_longer() -> None:
    """Three at once, one place: they are active for 2, 4 and 6 seconds, and the second user's next is as much later."""
    fixed = {"kind": "fixed", "seconds": 2}
    engine = Engine(build(raw({"users": 3, "think": {"kind": "fixed", "seconds": 1}, "durations": fixed, "seconds": 12},
                              sample=0.5)), "rr", 1)  # fmt: skip
    one = engine.run()
    active = dict(zip(one.times.tolist(), one.grids["active"].sum(1).tolist(), strict=True))
    assert [active[at] for at in (1.0, 1.5, 3.5, 4.0, 4.5, 5.5)] == [0, 3, 2, 2, 3, 2]
    (flows,) = engine.traffic.flows
    assert [round(at / 1e6, 2) for at in sorted(flows.opened[flows.client == 1])[:2]] == [1.0, 6.0]


def test_wlc_finds_the_free_places() -> None:
    """Among servers with a place each, lc sends nobody to wait while another is free; rr does."""
    traffic = {"arrivals": {"kind": "poisson", "rate": 2}, "seconds": 1000, "durations": EXPONENTIAL, "close": "rst"}
    waits = {variant: run(traffic, 1, 4, variant).figures["waited"] for variant in ("rr", "lc")}
    assert waits["lc"] < waits["rr"] / 2


@pytest.mark.parametrize("service", ["-t 203.0.113.1:80", "-u 203.0.113.1:53", "--sctp-service 203.0.113.1:5060"])
@pytest.mark.parametrize("options", ["-g", "-m"])
def test_packets_keep_their_order(service: str, options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over every protocol, with answers and without, what is late comes in the order of time, and nothing comes twice."""
    traffic = {"users": 5, "durations": {"kind": "fixed", "seconds": 0.5}, "packets": 3, "seconds": 20}
    engine = Engine(build(raw(traffic, 2, 2, table={"service": service, "options": options})), "rr", 1, whole=True)
    times: list[int] = []
    queues, receive = engine._queues, engine.nodes[0].receive
    assert queues is not None

    def received(*packet: Any) -> Any:
        times.append(engine.nodes[0].clock.now)
        return receive(*packet)

    monkeypatch.setattr(engine.nodes[0], "receive", received)
    one = engine.run()
    assert times == sorted(times)
    assert one.counts["opened"] == one.counts["offered"] == len(queues.waits)
    assert one.counts["opened"] == pytest.approx(4 * 2 * 20, rel=0.1)


def test_room_for_all_changes_nothing() -> None:
    """Places for everyone leave a run as it is without a capacity, to the last connection."""
    traffic = {"arrivals": {"kind": "poisson", "rate": 30}, "seconds": 20, "durations": EXPONENTIAL, "packets": 2}
    roomy, plain = run(traffic, 100_000, 3), simulate(build({"table": {"servers": 3}, "traffic": traffic}), "rr", 1)
    assert all(np.array_equal(roomy.grids[name], plain.grids[name]) for name in plain.grids)
    assert roomy.figures["waited"] == 0
    assert "waited" not in plain.figures


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"table.capacity": 0}, "table.capacity: 0 is not from 1 to 100,000"),
        ({"table.capacity": 1.5}, "table.capacity: 1.5 is not a whole number"),
        ({"table.capacity": 100_001}, "table.capacity: 100001 is not from 1 to 100,000"),
        ({"table": {"rules": "-A -t 192.0.2.1:80", "capacity": 3}}, "table.capacity: unknown"),
        ({"traffic.seconds": 0, "traffic.connections": 9}, "traffic.connections: users who wait for servers"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], words: str) -> None:
    """A capacity that can't be is refused before a run, with its place, its value and what is allowed."""
    with pytest.raises(ScenarioError) as refused:
        build(raw({"users": 3, "seconds": 9})).changed(changed)
    assert words in str(refused.value)
