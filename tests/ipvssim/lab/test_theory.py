"""What theory says about scheduling, and what the laboratory measures of the simulated director."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ipvssim.lab import Outcome, build, load, simulate

TABLE = {"servers": 10, "options": "-g"}


def scenario(table: dict[str, Any], traffic: dict[str, Any], **more: Any) -> Any:
    traffic = {"durations": {"kind": "fixed", "seconds": 1}, **traffic}
    return build({"table": {**TABLE, **table}, "traffic": traffic, **more})


def opened(outcome: Outcome) -> dict[str, int]:
    return dict(zip(outcome.servers, outcome.grids["opened"][-1].tolist(), strict=True))


def test_wrr_gives_each_server_its_weight() -> None:
    """Of a whole number of cycles wrr gives each server connections in exact proportion to its weight."""
    traffic = {"arrivals": {"kind": "poisson", "rate": 500}, "connections": 1100}
    run = simulate(scenario({"servers": 4, "weights": [5, 3, 2, 1]}, traffic), "wrr", 1)
    assert list(opened(run).values()) == [500, 300, 200, 100]
    assert run.figures["peak"] == run.figures["jain"] == 1


@pytest.mark.parametrize("picks", [1, 3, 7])
def test_the_herd_is_of_all_nodes(picks: int) -> None:
    """Where each of D nodes has picked k times of n under rr, k servers have D connections each and the others none."""
    traffic = {"arrivals": {"kind": "constant", "rate": 100}, "connections": 20 * picks}
    run = simulate(scenario({}, traffic, directors=20, spread="turn"), "rr", 1)
    assert sorted(opened(run).values()) == [0] * (10 - picks) + [20] * picks
    assert run.figures["first_picks"] == 1
    assert run.figures["peak"] == 10 / picks


def test_a_nat_goes_where_its_hash_says() -> None:
    """Under sh a client with a share s of all connections puts s + (1 - s) / n of them on its server."""
    runs = [simulate(load("nat-client").changed({"traffic.seconds": 20}), "sh", seed) for seed in range(1, 6)]
    expected = 10 * (0.4 + 0.6 / 10)
    assert np.mean([run.figures["peak"] for run in runs]) == pytest.approx(expected, rel=0.06)
    assert all((run.heat[0] > 0).sum() == 1 for run in runs)


def test_zipf_under_sh_is_as_uneven_as_its_clients() -> None:
    """Hashing clients of shares p over n servers: E[sum of squared loads] = S + (1 - S) / n where S = sum of p squared."""
    traffic = {
        "arrivals": {"kind": "constant", "rate": 1000}, "connections": 1500,
        "clients": {"kind": "zipf", "count": 500, "exponent": 1.0},
    }  # fmt: skip
    shares = 1 / np.arange(1, 501)
    squares = float(((shares / shares.sum()) ** 2).sum())
    squares += (1 - squares) / 1500  # connections are a sample of the shares
    expected = squares + (1 - squares) / 10
    made = scenario({}, traffic)
    found = []
    for seed in range(1, 31):
        loads = np.array(list(opened(simulate(made, "sh", seed)).values())) / 1500
        found.append(float((loads**2).sum()))
    half = 3 * np.std(found, ddof=1) / len(found) ** 0.5
    assert abs(np.mean(found) - expected) < half


def test_sh_moves_what_its_table_says() -> None:
    """sh deals 256 buckets to the servers in turn: a removal moves the buckets whose turn changed, and their clients."""
    run = simulate(load("failure").changed({"traffic.seconds": 60, "events.0.at": 40}), "sh", 1)
    newest_first = list(range(39, -1, -1))
    left = [server for server in newest_first if server != 17]
    before = [newest_first[bucket % 40] for bucket in range(256)]
    after = [left[bucket % 39] for bucket in range(256)]
    stayed = [(old, new) for old, new in zip(before, after, strict=True) if old != 17]
    expected = sum(old != new for old, new in stayed) / len(stayed)
    assert run.figures["moved"] == pytest.approx(expected, abs=0.02)


def maglev(permutations: list[np.ndarray[Any, Any]], size: int) -> np.ndarray[Any, Any]:
    """Maglev's table (Eisenbud et al., 2016): servers take their next free preferred slot in turn."""
    table, at, filled = np.full(size, -1), [0] * len(permutations), 0
    while filled < size:
        for server, order in enumerate(permutations):
            while table[order[at[server]]] >= 0:
                at[server] += 1
            table[order[at[server]]] = server
            filled += 1
            if filled == size:
                break
    return table


def test_mh_moves_as_little_as_maglev() -> None:
    """A removal under mh moves no larger share of clients than in Maglev tables (4093 slots) of random permutations."""
    random, size, shares = np.random.default_rng(5), 4093, []
    for _ in range(3):
        orders = [random.permutation(size) for _ in range(40)]
        before, after = maglev(orders, size), maglev(orders[:17] + orders[18:], size)
        after = after + (after >= 17)
        stayed = before != 17
        shares.append(float((before != after)[stayed].mean()))
    runs = [
        simulate(load("failure").changed({"traffic.seconds": 40, "events.0.at": 25}), "mh", seed) for seed in (1, 2)
    ]
    measured = np.mean([run.figures["moved"] for run in runs])
    assert 0.3 * np.mean(shares) < measured < 2 * np.mean(shares)
    assert runs[0].figures["forced"] == pytest.approx(1 / 40, abs=0.012)


def test_little_s_law_holds() -> None:
    """Active connections are arrival rate times mean duration: 100 a second of 5 s are 500, 50 on each of 10."""
    traffic = {
        "arrivals": {"kind": "poisson", "rate": 100}, "durations": {"kind": "exponential", "mean": 5}, "seconds": 60,
    }  # fmt: skip
    run = simulate(scenario({}, traffic), "wlc", 3)
    calm = run.grids["active"][run.times > 20]
    assert calm.sum(1).mean() == pytest.approx(500, rel=0.06)
    assert calm.mean(0) == pytest.approx(50, rel=0.08)


def test_the_stampede_lasts_as_long_as_computed() -> None:
    """Under wlc a new server gets everything until it is even with n others: for D ln((n + 1) / n) of mean duration D."""
    changes = {"traffic.seconds": 70, "events.0.at": 60, "sample": 0.1, "traffic.arrivals.rate": 400}
    run = simulate(load("new-server").changed(changes), "wlc", 1)
    assert run.figures["rush"] == 1
    enough, whole = (20 * math.log(1 + share / 10) for share in (0.8, 1))
    assert enough - 0.2 < run.figures["even_after"] < whole + 0.3


def test_refusals_follow_erlang() -> None:
    """n servers that take one connection each, held for h, refuse Erlang's B(rate x h, n) of all connections."""
    traffic = {
        "arrivals": {"kind": "poisson", "rate": 0.5}, "durations": {"kind": "exponential", "mean": 10}, "close": "rst",
        "connections": 6000,
    }  # fmt: skip
    run = simulate(scenario({"options": "-g -x 1 -y 1"}, traffic), "rr", 1)
    load_, blocked = 0.5 * (10 + 10), 1.0  # a reset connection is remembered for 10 s
    for number in range(1, 11):
        blocked = load_ * blocked / (number + load_ * blocked)
    assert run.figures["refused"] == pytest.approx(blocked, abs=0.02)


def test_persistence_keeps_clients_where_they_are() -> None:
    """With persistence a client has one server, whatever the scheduler; without, wlc spreads it over many."""
    changes = {"traffic.seconds": 20}
    kept = simulate(load("persistence").changed(changes), "wlc -p 600", 1)
    loose = simulate(load("persistence").changed(changes), "wlc", 1)
    assert ((kept.heat > 0).sum(1) == 1).all()
    assert (loose.heat[0] > 0).sum() == 10
    assert kept.grids["templates"][-1].sum() > 100
