"""A director decides about a flow as it does about the packet's bytes: runs are the same either way, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim.lab import Outcome, build, gallery, load
from ipvssim.lab.run.engine import Engine
from ipvssim.lab.run.wires import Kind, wires
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.scenario.rules import endpoint
from ipvssim.net.specimens import Specimen
from ipvssim.path.result import DROP, FORWARD, Result
from tests.ipvssim import worlds as w

SERVICES = ["-t 203.0.113.1:80", "-t [2001:db8:80::1]:80", "-u 203.0.113.1:53", "-u [2001:db8:80::1]:53",
            "--sctp-service 203.0.113.1:5060", "-f 7", "-f 7 -6", "-t 198.18.7.7:443"]  # fmt: skip
SYSCTLS: list[dict[str, int]] = [
    {}, {}, {"drop_packet": 3, "am_droprate": 5},
    {"drop_entry": 3}, {"pmtu_disc": 0}, {"nat_icmp_send": 1}, {"conn_reuse_mode": 0},
    {"expire_nodest_conn": 1}, {"sloppy_tcp": 1, "secure_tcp": 3}, {"expire_quiescent_template": 1}, {"cache_bypass": 1},
    {"backup_only": 1}, {"conntrack": 1},
]  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"do": "remove", "server": 1}, {"do": "fail", "server": 2}, {"do": "reload"}, {"do": "weight", "server": 0, "weight": 0},
    {"do": "add", "server": 5, "weight": 2}, {"do": "rules", "rules": "--set 2 3 4"},
]  # fmt: skip
VARIANTS = ["rr", "wlc", "twos", "sh -b sh-port", "mh", "lblcr", "sed", "nq", "wrr", "ovf", "fo", "dh", "wlc -p 3",
            "lc -p 20 -M 255.255.0.0", "rr on 5.4", "wlc on 7.3"]  # fmt: skip


def told(outcome: Outcome) -> list[Any]:
    """Everything that a run yields."""
    grids = {name: grid.tolist() for name, grid in outcome.grids.items()}
    changes = [(one.label, one.at, one.usable, one.joined, one.broken, repr(one.figures)) for one in outcome.changes]
    figures = repr(outcome.figures), outcome.counts, outcome.heat.tolist(), outcome.heat_clients
    return [grids, changes, figures, outcome.times.tolist(), outcome.servers]


def both(scenario: Scenario, variant: str, seed: int = 1) -> tuple[Outcome, Outcome]:
    """A run over flows and the same over bytes; their directors end with the same connections and the same chance."""
    flows, packets = Engine(scenario, variant, seed), Engine(scenario, variant, seed, whole=True)
    outcomes = flows.run(), packets.run()
    for one, other in zip(flows.nodes, packets.nodes, strict=True):
        assert sorted(map(repr, one.director.connections())) == sorted(map(repr, other.director.connections()))
        assert one.clock.random.getstate() == other.clock.random.getstate()
    return outcomes


@pytest.mark.parametrize("name", gallery())
def test_the_gallery_is_the_same(name: str) -> None:
    """Every scenario of the gallery, small, gives the same over flows as over bytes, under each of its variants."""
    scenario = load(name).small
    for variant in scenario.variants:
        flows, packets = both(scenario, variant)
        assert told(flows) == told(packets)


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[Scenario, str, int]:
    """Small scenarios of every kind of service, method, tunable and event."""
    service = draw(st.sampled_from(SERVICES))
    options = draw(st.sampled_from(["-g", "-m", "-i", "-m -x 3 -y 2", "-g -x 2", "-i --tun-type gue --tun-port 6080"]))
    chosen = draw(st.lists(st.sampled_from(range(len(EVENTS))), max_size=3, unique=True))
    events = [{"at": at, **EVENTS[one]} for at, one in enumerate(chosen, 1)]
    traffic = {
        "arrivals": {"kind": "poisson", "rate": draw(st.sampled_from([5, 25]))},
        "durations": {"kind": "exponential", "mean": draw(st.sampled_from([0.1, 2]))},
        "clients": draw(st.sampled_from(clients(service))),
        "seconds": 6, "packets": draw(st.integers(0, 2)), "close": draw(st.sampled_from(["fin", "rst", "none"])),
        "reconnect": draw(st.booleans()), "replies": draw(st.sampled_from([None, True, False])),
    }  # fmt: skip
    traffic = {key: value for key, value in traffic.items() if value is not None}
    raw = {
        "table": {"service": service, "options": options, "servers": 4, "weights": [1, 3]},
        "traffic": traffic, "events": events,
        "sysctl": draw(st.sampled_from(SYSCTLS)), "directors": draw(st.sampled_from([1, 1, 2])),
    }  # fmt: skip
    variant = draw(st.sampled_from([*VARIANTS, *(["rr -o"] if service.startswith("-u") else [])]))
    if "[" in service or "-6" in service:
        variant = variant.replace("255.255.0.0", "64")
    return build(raw), variant, draw(st.integers(1, 3))


def clients(service: str) -> list[dict[str, Any]]:
    """Few clients, many, and such as have the address of a service, of a server or of the director."""
    net = "fd00:10::/64" if "[" in service or "-6" in service else "10.0.0.0/24"
    return [
        {"kind": "uniform", "count": 3}, {"kind": "zipf", "count": 50, "exponent": 1},
        {"kind": "uniform", "count": 40, "net": net}, {"addresses": OWN[net]},
    ]  # fmt: skip


OWN = {
    "10.0.0.0/24": ["203.0.113.1", "10.0.0.1", "10.0.0.10", "11.1.1.1", "127.0.0.1", "224.0.0.1"],
    "fd00:10::/64": ["2001:db8:80::1", "fd00:10::1", "fd00:10::10", "2001:db8:c::1", "fe80::7", "ff02::1"],
}


@settings(max_examples=60, deadline=None)
@given(scenarios())
def test_a_scenario_is_the_same(made: tuple[Scenario, str, int]) -> None:
    """Whatever is balanced how, under whatever tunables and events, a run over flows is the run over bytes."""
    flows, packets = both(*made)
    assert told(flows) == told(packets)


def test_what_happens_by_itself_is_sampled_at_once() -> None:
    """A sample has what a timer changed between two packets: three seconds after a reply that no neighbour takes, the
    director's own error goes to the server and is counted (its end alone was right; a random scenario showed it)."""
    traffic = {
        "arrivals": {"kind": "poisson", "rate": 5}, "durations": {"kind": "exponential", "mean": 0.1}, "packets": 0,
        "clients": {"kind": "uniform", "count": 40, "net": "10.0.0.0/24"}, "seconds": 6,
    }  # fmt: skip
    table = {"service": "-t 203.0.113.1:80", "options": "-m", "servers": 4, "weights": [1, 3]}
    flows, packets = both(build({"table": table, "traffic": traffic}), "rr")
    assert told(flows) == told(packets)


def made(options: str = "-g", sysctl: dict[str, int] | None = None, service: str = "-t 203.0.113.1:80") -> Scenario:
    traffic = {"arrivals": {"kind": "constant", "rate": 10}, "seconds": 5, "packets": 1}
    return build({
        "table": {"service": service, "options": options, "servers": 3}, "traffic": traffic, "sysctl": sysctl or {},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (made(), False), (made("-m"), False), (made("-i"), False), (made("-m", service="-u 203.0.113.1:53"), False),
        (made("-i", {"pmtu_disc": 0}), True), (made("-g -x 1"), True), (made("-i", service="-f 7 -6"), False),
    ],
)  # fmt: skip
def test_bytes_are_made_where_they_are_looked_at(
    scenario: Scenario, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No packet of a plain run is made; one that an error quotes is, and one that a tunnel gives a drawn number."""
    engine, asked = Engine(scenario, "rr", 1), [0]
    make = Kind.packet

    def counted(self: Kind, key: bytes) -> bytes:
        asked[0] += 1
        return make(self, key)

    monkeypatch.setattr(Kind, "packet", counted)
    engine.run()
    assert bool(asked[0]) is expected


def specimen(kind: int = 0) -> Specimen:
    """A client's packet of one kind to the world's service."""
    one = wires(endpoint("-t 203.0.113.1:80"), reset=False).requests[kind]
    one.come_from(w.CLIENT + w.VIRTUAL + b"\x12\x34\x00\x50")
    return one


def opened(world: w.World, *, flows: bool) -> tuple[str, bool, int]:
    """What becomes of a client's first packet: verdict, whether it opened a connection, how many there are."""
    packet = specimen()
    result = world.director.pass_flow(packet, Result()) if flows else world.client(packet.raw())
    return result.verdict.value, result.opened, len(world.director.connection_table)


@pytest.mark.parametrize("address", [w.SERVER, bytes((203, 0, 113, 9)), bytes((10, 0, 0, 1)), bytes((127, 0, 0, 1))])
@pytest.mark.parametrize("method", [w.MASQUERADE, w.TUNNEL, w.DIRECT])
@pytest.mark.parametrize("mtu", [1500, 42, 30])
def test_where_the_server_is(address: bytes, method: int, mtu: int) -> None:
    """By whatever way, and whether it fits or not, the flow meets what its packet meets; an error is counted alike."""
    worlds = w.World(), w.World()
    for world in worlds:
        world.server(world.service(), address, method=method)
        world.namespace.network.devices["server"].mtu = mtu
        world.namespace.network.changed()
    assert opened(worlds[0], flows=True) == opened(worlds[1], flows=False)
    assert worlds[0].namespace.clock.random.getstate() == worlds[1].namespace.clock.random.getstate()


@pytest.mark.parametrize("watching", ["explaining", "tracking"])
def test_whoever_looks_gets_bytes(watching: str) -> None:
    """A director that explains, or tracks connections, is given the packet that the flow stands for."""
    world = w.World()
    world.server(world.service())
    if watching == "explaining":
        world.director.explaining = True
    else:
        world.director.tracker.asked = True
    result = world.director.pass_flow(specimen(), Result())
    assert result.verdict is FORWARD and result.opened and result.packet is not None and not result.packet.specimen
    assert len(result.out) == 1


def test_a_flow_to_others_is_forwarded() -> None:
    """What is none of the director's business goes its way as a packet; it leaves, or is dropped, as the bytes would be."""
    world = w.World()
    away = wires(endpoint("-t 198.51.100.77:80"), reset=False).requests[0]
    away.come_from(w.CLIENT + bytes((198, 51, 100, 77)) + b"\x12\x34\x00\x50")
    assert world.director.pass_flow(away, Result()).verdict is FORWARD
    world.namespace.network.forwarding = False
    assert world.director.pass_flow(away, Result()).verdict is DROP


def test_a_specimen_is_a_plain_packet() -> None:
    """What has options, or is none, is no specimen."""
    for data in (b"", w.tcp(w.SYN)[:20], w.ip(w.CLIENT, w.VIRTUAL, w.TCP, bytes(20), options=b"\x01" * 4)):
        with pytest.raises(ValueError, match="no plain packet"):
            Specimen(data, Kind(6, 0))
