"""A run on the express lane is the run in the loop: the same figures to the last digit, the same directors at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ipvssim.lab import ScenarioError, build, gallery, load
from ipvssim.lab.run import express
from ipvssim.lab.run.engine import Engine
from ipvssim.lab.run.express import Express
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
    plain, lane = Engine(scenario, variant, seed, lanes=False), Engine(scenario, variant, seed)
    assert outcome(lane) == outcome(plain)
    for name in ("placed", "fresh", "gone", "again"):
        assert getattr(lane.places, name) == getattr(plain.places, name), name
    for one, other in zip(lane.nodes, plain.nodes, strict=True):
        assert state(one) == state(other)
    return lane.hastened


def made(options: str = "-g", service: str = "-t 203.0.113.1:80", **traffic: Any) -> Scenario:
    """A scenario of four servers, 200 connections a second for ten, each for one."""
    stream = {"arrivals": {"kind": "constant", "rate": 200}, "seconds": 10, **traffic}
    return build({"table": {"service": service, "options": options, "servers": 4}, "traffic": stream})


@pytest.mark.parametrize(
    ("scenario", "variant", "takes"),
    [
        (made(), "wlc", True), (made("-m"), "rr", True), (made("-m", "-u 203.0.113.1:53"), "lc", True),
        (made(packets=2, close="rst"), "wrr", True), (made(), "sed", True), (made(), "nq", True),
        (made(), "sh", False), (made(), "wlc -p 10", False),
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


RULES = """-A -t 203.0.113.1:80 -s wlc
-a -t 203.0.113.1:80 -r 10.0.0.10:8080 -m -w 2
-a -t 203.0.113.1:80 -r 10.0.0.11 -m
-A -u 203.0.113.1:53 -s rr
-a -u 203.0.113.1:53 -r 10.0.0.10:53 -g -x 9
-a -u 203.0.113.1:53 -r 10.0.0.12:53 -m
-A -t 203.0.113.2:443 -s sh
-a -t 203.0.113.2:443 -r 10.0.0.10:443 -m"""
ARRIVALS = {"kind": "poisson", "rate": 40}


@pytest.mark.parametrize(
    ("raw", "takes"),
    [
        ({"traffic": {"users": 30, "think": {"kind": "exponential", "mean": 1}, "seconds": 20}}, True),
        ({"traffic": {"arrivals": ARRIVALS, "seconds": 20, "pool": {"size": 3, "requests": 9, "idle": 2}}}, True),
        ({"traffic": {"arrivals": {"kind": "poisson", "rate": 0.001}, "seconds": 0.001}}, False),
        ({"table": {"rules": RULES}, "traffic": [
            {"arrivals": ARRIVALS, "seconds": 20, "packets": 1},
            {"arrivals": ARRIVALS, "seconds": 20, "service": "-u 203.0.113.1:53", "start": 3}]}, True),
        ({"table": {"rules": RULES}, "traffic": [
            {"arrivals": ARRIVALS, "seconds": 9},
            {"arrivals": ARRIVALS, "seconds": 9, "service": "-t 203.0.113.2:443"}]}, False),
        ({"table": {"servers": 3, "capacity": 2}, "traffic": {"arrivals": ARRIVALS, "seconds": 9}}, False),
        ({"directors": 101, "traffic": {"arrivals": ARRIVALS, "seconds": 9}}, False),
        ({"directors": 7, "traffic": {"arrivals": ARRIVALS, "seconds": 9}}, True),
    ],
)  # fmt: skip
def test_kinds_of_runs(raw: dict[str, Any], takes: bool) -> None:
    """Users, pools, several services and directors: the lane takes them where it can, for the same figures."""
    assert (same(build(raw), "" if "table" in raw and "rules" in raw["table"] else "wlc") > 0) is takes


def planted_event(patch: pytest.MonkeyPatch) -> None:
    """Time passes without the estimator's ticks in between."""
    patch.setattr(flows, "min", lambda *_: (1 << 63) - 1, raising=False)


def planted_dead(patch: pytest.MonkeyPatch) -> None:
    """Dead servers answer."""
    make = Express._servers
    patch.setattr(Express, "_servers", lambda own: make(own)._replace(dead=[False] * len(own._places.ports)))


def planted_part(patch: pytest.MonkeyPatch) -> None:
    """No packet is a flow's first."""
    patch.setattr(express, "FIRST", flows.FURTHER)


def planted_sample(patch: pytest.MonkeyPatch) -> None:
    """Samples lack what the lanes have opened."""
    add = flows.Passage.add_loads
    patch.setattr(flows.Passage, "add_loads", lambda own, opened, *others: add(own, opened.copy(), *others))


@pytest.mark.parametrize("plant", [planted_event, planted_dead, planted_part, planted_sample])
def test_a_mistake_is_seen(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake that is planted makes the two differ: what would pass it is no test."""
    raw = dict(made(clients={"addresses": ["11.1.1.1"]}).raw)
    raw["traffic"] = [raw["traffic"], {**raw["traffic"], "start": 1}]
    scenario = build({**raw, "events": [{"at": 3, "do": "fail", "server": 2}]})
    same(scenario, "rr")
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        same(scenario, "rr")


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
VARIANTS = ["rr", "wrr", "lc", "wlc", "sed", "nq"]
GENERAL = ["sh", "mh", "lblc", "wlc -p 3", "rr -p 50 -M 255.255.0.0", "wlc on 5.4", "lc on 7.3"]
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


def test_without_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the lane's C was not built, a run goes through the loop."""
    monkeypatch.setattr(express, "compiled", False)
    assert same(made(), "wlc") == 0


def test_an_interrupted_run_tells_what_it_has() -> None:
    """A run that ends in the midst, whether by the lane or by the loop, has opened what its samples say."""
    for lanes in (True, False):
        engine = Engine(made(seconds=400), "wlc", 1, lanes=lanes)

        def stop(done: int, every: int) -> None:
            if done > every / 2:
                raise KeyboardInterrupt

        run = engine.run(stop)
        fresh = engine.places.fresh.count(1)
        assert not run.complete and run.counts["opened"] == fresh == int(run.grids["opened"][-1].sum()) > 0
