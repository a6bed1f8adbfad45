"""Slow start: a server that comes gets its weight step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ipvssim.lab import Outcome, ScenarioError, build, simulate
from ipvssim.lab.run.engine import Engine
from ipvssim.lab.scenario.health import SlowStart

SLOW = {"from": 1, "steps": 4, "every": 10}
TRAFFIC: dict[str, Any] = {
    "arrivals": {"kind": "constant", "rate": 99}, "durations": {"kind": "exponential", "mean": 5}, "seconds": 100,
}  # fmt: skip
JOIN = {"at": 20, "do": "add", "server": 3, "weight": 9}


def raw(*events: dict[str, Any], slow: dict[str, Any] | None = SLOW, **more: Any) -> dict[str, Any]:
    scenario = {
        "table": {"servers": 3, "weights": [9]},
        "traffic": TRAFFIC,
        "events": list(events),
        "sample": 1,
        **more,
    }
    return {**scenario, "slow_start": slow} if slow is not None else scenario


def weights(one: Outcome, server: int = 3) -> list[tuple[float, int]]:
    """When a server got which weight, to the sample after it."""
    column = one.grids["weight"][:, server].tolist()
    pairs = list(zip(one.times.tolist(), column, strict=True))
    return [pair for number, pair in enumerate(pairs) if number and pair[1] != column[number - 1]]


@pytest.mark.parametrize(
    ("slow", "whole", "steps"),
    [
        (SlowStart(1, 4, 10), 9, [3, 5, 7, 9]),
        (SlowStart(1, 3, 10), 3, [1, 2, 3]),
        (SlowStart(1, 1, 10), 100, [100]),
        (SlowStart(10, 3, 10), 100, [40, 70, 100]),
        (SlowStart(5, 3, 10), 5, []),
        (SlowStart(5, 3, 10), 0, []),
    ],
)
def test_the_steps(slow: SlowStart, whole: int, steps: list[int]) -> None:
    """Equal steps up to the server's own weight; one that is not above the first weight comes with it at once."""
    assert slow.weights(whole) == steps


def test_shares_grow_with_the_weight() -> None:
    """wrr gives a server that grows its weight's share of the new connections, in each step: w of 27 + w."""
    one = simulate(build(raw(JOIN)), "wrr", 1)
    assert weights(one) == [(21, 1), (31, 3), (41, 5), (51, 7), (61, 9)]
    opened = one.grids["opened"]
    at = {float(time): number for number, time in enumerate(one.times)}
    for begin, weight in zip((20, 30, 40, 50, 60), (1, 3, 5, 7, 9), strict=True):
        fresh = opened[at[begin + 10]] - opened[at[begin]]
        assert fresh.sum() == pytest.approx(990, abs=1)
        assert fresh[3] == pytest.approx(990 * weight / (27 + weight), abs=weight + 1)


def test_it_keeps_the_herd_away() -> None:
    """wlc sends all that comes to an empty server; one that begins at a ninth of its weight is full nine times as soon."""
    rush = {slow: simulate(build(raw(JOIN, slow=SLOW if slow else None)), "wlc", 1).figures["rush"] for slow in (0, 1)}
    assert rush[0] == 1
    assert rush[1] < 0.5


def test_steps_are_no_events() -> None:
    """What an event did is counted until the next event; the steps of a slow start belong to the event that began it."""
    one = simulate(build(raw(JOIN)), "wrr", 1)
    assert [change.label for change in one.changes] == ["add server 3 (10.0.0.13) at 20 s"]


def test_a_server_that_comes_back_begins_anew() -> None:
    """Checks that bring a server back begin a slow start, to the weight that it had, or was on its way to."""
    events = [{"at": 22, "do": "fail", "server": 1}, {"at": 41, "do": "recover", "server": 1}]
    checks = {"interval": 5, "rise": 1, "fall": 1, "timeout": 1}
    one = simulate(build(raw(*events, checks=checks)), "wrr", 1)
    assert weights(one, 1) == [(27, 0), (46, 1), (56, 3), (66, 5), (76, 7), (86, 9)]
    again = [{"at": 57, "do": "fail", "server": 1}, {"at": 69.5, "do": "recover", "server": 1}]
    for action in ("remove", "weight 0"):
        one = simulate(
            build(raw(*events, *again, checks={**checks, "action": action}, slow={**SLOW, "every": 5})), "wrr", 1
        )
        assert weights(one, 1) == [
            (27, 0), (46, 1), (51, 3), (56, 5), (61, 7), (62, 0), (71, 1), (76, 3), (81, 5), (86, 7), (91, 9)
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "after"),
    [
        ({"do": "weight", "weight": 4}, [(36, 4)]),
        ({"do": "remove"}, [(36, 0)]),
        ({"do": "weight", "weight": 0}, [(36, 0)]),
    ],
)
def test_an_administrator_s_word_ends_it(event: dict[str, Any], after: list[tuple[float, int]]) -> None:
    """A weight given meanwhile stays, and a server that was removed is not given weights."""
    one = simulate(build(raw(JOIN, {"at": 35, "server": 3, **event})), "wrr", 1)
    assert weights(one) == [(21, 1), (31, 3), *after]


def test_a_table_made_anew_ends_it() -> None:
    """A reload leaves no server that grows: a table made anew has every weight as its rules say."""
    joined = raw(JOIN, {"at": 35, "do": "reload"})
    assert weights(simulate(build(joined), "wrr", 1)) == [(21, 1), (31, 3), (36, 0)]


def test_each_director_has_its_own() -> None:
    """A server grows at the directors that got it, and at no other."""
    engine = Engine(build(raw({**JOIN, "directors": [1]}, directors=2)), "wrr", 1)
    engine.run()
    found = [sorted(server.weight for server in node.servers) for node in engine.nodes]
    assert found == [[9] * 3, [9] * 4]


def test_without_it_nothing_changes() -> None:
    """A first weight that no server is below leaves a run as it is, to the last connection."""
    plain = simulate(build(raw(JOIN, slow=None)), "wlc", 1)
    other = simulate(build(raw(JOIN, slow={**SLOW, "from": 9})), "wlc", 1)
    assert all(np.array_equal(plain.grids[name], other.grids[name]) for name in plain.grids)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"slow_start.from": 0}, "slow_start.from: 0 is not from 1 to 65,535"),
        ({"slow_start.steps": 0}, "slow_start.steps: 0 is not from 1 to 1,000"),
        ({"slow_start.steps": "4"}, "slow_start.steps: '4' is not a whole number"),
        ({"slow_start.every": 0}, "slow_start.every: 0 is not above 0"),
        ({"slow_start.until": 3}, "slow_start.until: unknown"),
        ({"slow_start": {"steps": 3}}, "slow_start.every is missing"),
        ({"slow_start": True}, "slow_start: True is not a table"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], words: str) -> None:
    """A slow start that can't be is refused before a run, with its place, its value and what is allowed."""
    with pytest.raises(ScenarioError) as refused:
        build(raw(JOIN)).changed(changed)
    assert words in str(refused.value)
