"""A run on the express lane is the run in the loop: the same figures to the last digit, the same directors at its end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ipvssim.lab import ScenarioError, build, gallery, load
from ipvssim.lab.run.engine import Engine
from ipvssim.lab.run.nodes import Node
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lane import compiled, flows
from ipvssim.lane.native import lib
from tests.ipvssim.lab.test_flows import told

pytestmark = pytest.mark.skipif(not compiled, reason="the express lane's C was not built")


def state(node: Node) -> list[Any]:
    """What a run leaves behind at a director: counters, loads, schedulers, chance, connections."""
    table = node.namespace.table
    found: list[Any] = []
    for service in table.services():
        scheduler = service.scheduler
        last = getattr(scheduler, "_last", None)
        found += [service.name, service.counters.live(), service.counters.shown()]
        found += [getattr(scheduler, "_current", None), last and last.endpoint]
    for server in [*(one for service in table.services() for one in service.servers()), *table.trash]:
        loads = server.active, server.inactive, server.conns, server.persistent, server.overloaded, server.idle_since
        found += [server.endpoint, loads, server.counters.live(), server.counters.shown()]
    found += [table.total.live(), table.total.shown(), node.clock.now, node.clock.random.getstate()]
    return [*found, sorted(map(repr, node.director.connections()))]


def outcome(engine: Engine) -> Any:
    """All that a run yields; or what it says of a rule that is refused on the way."""
    try:
        return told(engine.run())
    except ScenarioError as refused:
        return str(refused)


def same(scenario: Scenario, variant: str, seed: int = 1) -> int:
    """A run on the lane is that in the loop; how many packets the lane decided."""
    plain, express = Engine(scenario, variant, seed, lanes=False), Engine(scenario, variant, seed)
    assert outcome(express) == outcome(plain)
    for name in ("placed", "fresh", "gone", "again"):
        assert getattr(express.places, name) == getattr(plain.places, name), name
    for one, other in zip(express.nodes, plain.nodes, strict=True):
        assert state(one) == state(other)
    return express.hastened


def made(options: str = "-g", service: str = "-t 203.0.113.1:80", **traffic: Any) -> Scenario:
    """A scenario of four servers, 200 connections a second for ten, each for one."""
    stream = {"arrivals": {"kind": "constant", "rate": 200}, "seconds": 10, **traffic}
    return build({"table": {"service": service, "options": options, "servers": 4}, "traffic": stream})


@pytest.mark.parametrize(
    ("scenario", "variant", "takes"),
    [
        (made(), "wlc", True), (made("-m"), "rr", True), (made("-m", "-u 203.0.113.1:53"), "lc", True),
        (made(packets=2, close="rst"), "wrr", True), (made(), "sh", False), (made(), "wlc -p 10", False),
        (made("-i"), "wlc", False), (made(replies=True), "wlc", False),
        (made(service="-t [2001:db8:80::1]:80"), "rr", False),
        (made(service="--sctp-service 203.0.113.1:80"), "rr", False), (made(service="-f 7"), "rr", False),
    ],
)  # fmt: skip
def test_what_the_lane_takes(scenario: Scenario, variant: str, takes: bool) -> None:
    """A plain run is the lane's up to its end; one that is not goes through the loop, or falls back to it soon."""
    packets = len(Engine(scenario, variant, 1).traffic.when)
    taken = same(scenario, variant)
    assert taken > packets * 0.85 if takes else taken < packets * 0.5


def test_names_are_those_of_c() -> None:
    """What a packet is to its flow has the same numbers on both sides."""
    names = {name: getattr(flows, name) for name in ("UNKNOWN", "FIRST", "FURTHER", "ANSWER")}
    assert names == {name: getattr(lib, f"LANE_{name}") for name in names} and flows.KINDS == lib.LANE_PARTS


@pytest.mark.parametrize("name", gallery())
def test_the_gallery_is_the_same(name: str) -> None:
    """Every scenario of the gallery, small, gives the same on the lane as in the loop, under each of its variants."""
    scenario = load(name).small
    for variant in scenario.variants:
        same(scenario, variant)


EVENTS: list[dict[str, Any]] = [
    {"do": "remove", "server": 1}, {"do": "fail", "server": 2}, {"do": "recover", "server": 2}, {"do": "reload"},
    {"do": "weight", "server": 0, "weight": 0}, {"do": "weight", "server": 1, "weight": 4}, {"do": "fail", "server": 0},
    {"do": "add", "server": 5, "weight": 2}, {"do": "add", "server": 1}, {"do": "remove", "server": 0},
    {"do": "rules", "rules": "--set 2 3 4"}, {"do": "rules", "rules": "-E -t 203.0.113.1:80 -s wlc"},
    {"do": "rules", "rules": "-E -t 203.0.113.1:80 -s mh"}, {"do": "rules", "rules": "-Z"},
]  # fmt: skip
VARIANTS = ["rr", "wrr", "lc", "wlc"]
GENERAL = ["sh", "sed", "mh", "nq", "wlc -p 3", "rr -p 50 -M 255.255.0.0", "wlc on 5.4", "lc on 7.3"]
CLIENTS: list[dict[str, Any]] = [
    {"kind": "uniform", "count": 2}, {"kind": "zipf", "count": 50, "exponent": 1}, {"kind": "uniform", "count": 5000},
    {"addresses": ["203.0.113.1", "10.0.0.1", "10.0.0.10", "11.1.1.1", "127.0.0.1", "224.0.0.1"]},
    {"addresses": ["11.1.1.1", "11.1.1.2"]},
]  # fmt: skip


@st.composite
def traffic(draw: st.DrawFn) -> dict[str, Any]:
    """One stream; those of the same few clients have connections in common."""
    made = {
        "arrivals": draw(st.sampled_from([{"kind": "poisson", "rate": 20}, {"kind": "constant", "rate": 50},
                                          {"kind": "bursts", "size": 20, "every": 2}])),
        "durations": draw(st.sampled_from([{"kind": "exponential", "mean": 0.1}, {"kind": "fixed", "seconds": 1},
                                           {"kind": "exponential", "mean": 4}, {"kind": "fixed", "seconds": 0.001}])),
        "clients": draw(st.sampled_from(CLIENTS)), "seconds": draw(st.sampled_from([8, 30])),
        "packets": draw(st.integers(0, 2)), "close": draw(st.sampled_from(["fin", "rst", "none"])),
        "start": draw(st.sampled_from([0.0, 0.0, 150.0])),
    }  # fmt: skip
    if draw(st.booleans()):
        made["replies"] = draw(st.booleans())
    if draw(st.integers(0, 9)) == 0:
        made["reconnect"] = True
    return made


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[Scenario, str, int]:
    """Small scenarios, most of which the lane takes most of."""
    udp = draw(st.integers(0, 3)) == 0
    method = draw(st.sampled_from(["-g", "-m", "-m", "-i", "-g -x 3", "-m -x 4 -y 2", "-m -x 2"]))
    events: list[dict[str, Any]] = [
        {"at": draw(st.sampled_from([0.5, 2.0, 3.777777, 12.0, 151.0])), **draw(st.sampled_from(EVENTS))}
        for _ in range(draw(st.integers(0, 4)))
    ]
    if draw(st.integers(0, 3)) == 0:
        measure = draw(st.sampled_from(["opened", "refused", "active", "most_active"]))
        events.append({"when": {"measure": measure, "above": 5}, **draw(st.sampled_from(EVENTS))})
    streams = draw(st.lists(traffic(), min_size=1, max_size=2))
    end = max(one["start"] + one["seconds"] for one in streams)
    raw: dict[str, Any] = {
        "table": {"service": "-u 203.0.113.1:53" if udp else "-t 203.0.113.1:80", "options": method, "servers": 4,
                  "weights": draw(st.sampled_from([[1], [1, 3], [0, 1], [2, 2, 5, 0]]))},
        "traffic": streams, "events": [one for one in events if one.get("at", 0) < end],
        "directors": draw(st.sampled_from([1, 1, 1, 2, 3])), "spread": draw(st.sampled_from(["flow", "client", "turn"])),
    }  # fmt: skip
    if draw(st.integers(0, 3)) == 0:
        raw["sysctl"] = draw(st.sampled_from([
            {"conn_reuse_mode": 0}, {"conn_reuse_mode": 2}, {"expire_nodest_conn": 1}, {"nat_icmp_send": 1},
            {"drop_packet": 3}, {"sloppy_tcp": 1}, {"secure_tcp": 3}, {"expire_quiescent_template": 1},
        ]))  # fmt: skip
    if draw(st.integers(0, 3)) == 0:
        raw["checks"] = {"interval": 1, "timeout": 0.5, "action": draw(st.sampled_from(["remove", "weight 0"]))}
    if draw(st.integers(0, 5)) == 0:
        raw["slow_start"] = {"every": 1, "steps": 4}
    try:
        made = build(raw)
    except ScenarioError:  # an event that can't be: a server recovers that never failed
        reject()
    return made, draw(st.sampled_from([*VARIANTS, *VARIANTS, *GENERAL])), draw(st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(scenarios())
def test_a_scenario_is_the_same(made: tuple[Scenario, str, int]) -> None:
    """Whatever is balanced how, with whatever comes in between, a run on the lane is the run in the loop."""
    same(*made)
