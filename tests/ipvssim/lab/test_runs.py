"""Runs: what is counted is what the director did, whoever the traffic is; runs repeat, and break off whole."""

from __future__ import annotations

import gc
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ipvssim.doors.replay import Replay
from ipvssim.lab import Outcome, ScenarioError, build, gallery, load, simulate
from ipvssim.lab.run.engine import Engine
from ipvssim.lab.run.traces import traces
from ipvssim.path.protocols import tcp

TRAFFIC: dict[str, Any] = {
    "arrivals": {"kind": "poisson", "rate": 40}, "durations": {"kind": "exponential", "mean": 2}, "seconds": 10,
}  # fmt: skip


def made(
    service: str = "-t 203.0.113.1:80", options: str = "-g", traffic: dict[str, Any] | None = None, **more: Any
) -> Any:
    table = {"service": service, "servers": 4, "options": options}
    return build({"table": table, "traffic": {**TRAFFIC, **(traffic or {})}, **more})


def total(outcome: Outcome, column: str) -> int:
    return int(outcome.grids[column][-1].sum())


@pytest.mark.parametrize("service", ["-t 203.0.113.1:80", "-t [2001:db8:80::1]:80", "-u 203.0.113.1:53",
                                     "-u [2001:db8:80::1]:53", "--sctp-service 203.0.113.1:5060", "-f 7",
                                     "-f 7 -6", "-t 198.18.7.7:443"])  # fmt: skip
@pytest.mark.parametrize("options", ["-g", "-m", "-i"])
def test_every_connection_is_opened_once(service: str, options: str) -> None:
    """Over every protocol, family and forwarding method each connection that comes is opened, on the servers in turn."""
    run = simulate(made(service, options, {"seconds": 2}), "rr", 1)
    assert run.counts["opened"] == run.counts["offered"] == total(run, "opened") > 50
    assert run.counts["refused"] == run.counts["reused"] == run.counts["reopened"] == 0
    assert np.ptp(run.grids["opened"][-1]) <= 1


@pytest.mark.parametrize(("options", "packets"), [("-g", 3), ("-m", 6)])
def test_a_connection_s_packets(options: str, packets: int) -> None:
    """A client's SYN, ACK and FIN pass where replies do not; with their answers and the last ACK they are six."""
    traffic = {
        "arrivals": {"kind": "constant", "rate": 1},
        "durations": {"kind": "fixed", "seconds": 0.5},
        "seconds": 10,
    }
    engine = Engine(made("-t 203.0.113.1:80", options, traffic), "rr", 1)
    run = engine.run()
    assert total(run, "packets") == 9 * packets + 1
    states = {connection.state for connection in engine.nodes[0].director.connection_table}
    assert states == ({tcp.FIN_WAIT, tcp.SYN_RECV} if options == "-g" else {tcp.TIME_WAIT, tcp.SYN_RECV})


def test_data_passes_too() -> None:
    """Packets of data are spread over the connection's life, each answered where answers pass."""
    traffic = {"arrivals": {"kind": "constant", "rate": 1}, "seconds": 10, "packets": 4}
    quiet = total(simulate(made(traffic={**traffic, "packets": 0}), "rr", 1), "packets")
    busy = total(simulate(made(traffic=traffic), "rr", 1), "packets")
    assert 25 <= busy - quiet <= 4 * 10


@pytest.mark.parametrize("name", gallery())
def test_the_gallery_runs_small(name: str) -> None:
    """Every scenario of the gallery runs at its small size under each of its variants, and all of its connections count."""
    scenario = load(name).small
    for variant in scenario.compare:
        run = simulate(scenario, variant, 1)
        assert run.complete
        assert total(run, "opened") == run.counts["opened"] == run.counts["offered"] - run.counts["refused"]
        assert run.counts["refused"] == 0 or variant == "ovf"  # which takes no more than the sum of weights
        assert run.heat.sum() <= run.counts["opened"]


def test_a_seed_is_a_run() -> None:
    """The same seed gives the same run, to the connection; another seed gives another."""
    scenario = load("new-server").small
    one, two, other = (simulate(scenario, "wlc", seed) for seed in (1, 1, 2))
    assert all((one.grids[name] == two.grids[name]).all() for name in one.grids)
    assert repr(one.figures) == repr(two.figures)
    assert one.counts["offered"] != other.counts["offered"]


def test_a_run_leaves_nothing_to_collect() -> None:
    """Connections, templates and timers go when they are let go of: a longer run leaves no more to the collector, which is
    why it is not asked meanwhile."""
    found = []
    for seconds in (5, 60):
        traffic = {"durations": {"kind": "fixed", "seconds": 0.1}, "close": "rst", "seconds": seconds, "packets": 1}
        engine = Engine(made(options="-m", traffic=traffic), "wlc -p 1", 1)
        gc.collect()
        gc.disable()
        try:
            run = engine.run()
            found.append(gc.collect())
        finally:
            gc.enable()
    assert run.counts["opened"] > len(engine.nodes[0].director.connection_table) + 500
    assert found[1] <= found[0] + 10


def test_variants_meet_the_same_traffic() -> None:
    """Schedulers are compared under the same connections of the same clients at the same times."""
    scenario = load("failure").small
    assert simulate(scenario, "rr", 1).heat_clients == simulate(scenario, "mh", 1).heat_clients


def test_events_happen() -> None:
    """Servers come and go, weights change, rules are carried out: the samples show the table as it then is."""
    events = [
        {"at": 2, "do": "remove", "server": 0},
        {"at": 4, "do": "add", "server": 7, "weight": 3},
        {"at": 6, "do": "weight", "server": 1, "weight": 0},
        {"at": 8, "do": "rules", "rules": "-e -t 203.0.113.1:80 -r 10.0.0.12:80 -g -w 9"},
    ]
    run = simulate(made(events=events), "wrr", 1)
    weights = {name: run.grids["weight"][:, number] for number, name in enumerate(run.servers)}
    assert weights["10.0.0.10:80"][[0, -1]].tolist() == [1, 0]
    assert weights["10.0.0.17:80"][[0, -1]].tolist() == [0, 3]
    assert weights["10.0.0.11:80"][[0, -1]].tolist() == [1, 0]
    assert weights["10.0.0.12:80"][[0, -1]].tolist() == [1, 9]
    assert [change.at for change in run.changes] == [2, 4, 6, 8]
    assert run.changes[0].broken > 0


def test_an_event_waits_for_its_condition() -> None:
    """An event on a condition happens at the first sample that meets it, once."""
    events = [{"do": "add", "server": 8, "when": {"measure": "active", "above": 40}}]
    run = simulate(made(events=events), "wlc", 1)
    (change,) = run.changes
    active = run.grids["active"].sum(1)
    assert active[np.searchsorted(run.times, change.at)] > 40 >= active[run.times < change.at].max()
    assert "when active > 40" in change.label


def test_an_event_may_concern_one_director() -> None:
    """A director that is told of a change acts on it while the others go on as before."""
    events = [{"at": 5, "do": "remove", "server": 0, "directors": [1]}]
    engine = Engine(made(events=events, directors=2), "rr", 1)
    engine.run()
    tables = [len(next(node.namespace.table.services()).destinations) for node in engine.nodes]
    assert tables == [4, 3]


def test_refusals_are_counted() -> None:
    """A client that no server takes is refused, and sends nothing more."""
    run = simulate(made(options="-g -x 1 -y 1", traffic={"close": "none"}), "wlc", 1)
    assert run.counts["opened"] == 4
    assert run.counts["refused"] == run.counts["offered"] - 4


def test_an_interrupted_run_keeps_what_it_has() -> None:
    """A KeyboardInterrupt ends a run with a sample of that moment; it says that it is not complete."""
    scenario = made(
        traffic={"arrivals": {"kind": "constant", "rate": 5000}, "durations": {"kind": "fixed", "seconds": 5}}
    )
    called = []

    def stop(done: int, every: int) -> None:
        called.append((done, every))
        if done > every / 2:
            raise KeyboardInterrupt

    run = simulate(scenario, "wlc", 1, stop)
    assert not run.complete
    assert 0 < run.counts["opened"] < 50_000
    assert run.counts["opened"] == total(run, "opened")
    assert called[-1][0] > called[-1][1] / 2


def test_a_recording_is_traffic(tmp_path: Path) -> None:
    """A pcap's packets are traffic, in Ethernet frames or bare, at the times at which they were caught."""
    engine = Engine(made(traffic={"seconds": 2}), "rr", 1, tracing=True)
    live = engine.run()
    packets = [bytes.fromhex(step["hex"]) for step in engine.nodes[0].steps or [] if step["do"] == "packet"]
    for link, head in ((101, b""), (1, bytes(12) + b"\x08\x00")):
        records = b"".join(
            struct.pack("<IIII", number // 100, number % 100 * 10_000, len(head + one), len(head + one)) + head + one
            for number, one in enumerate(packets)
        )
        path = tmp_path / f"{link}.pcap"
        path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link) + records)
        replayed = simulate(build({"table": {"servers": 4}, "traffic": {"pcap": str(path)}}), "rr", 1)
        assert replayed.grids["opened"][-1].tolist() == live.grids["opened"][-1].tolist()
        assert replayed.times[-1] == pytest.approx((len(packets) - 1) / 100, abs=0.001)
    other = path.read_bytes()[:20] + struct.pack("<I", 999) + path.read_bytes()[24:]
    for data, why in ((b"hello", "neither pcap nor pcapng"), (other, "packet 1: link type 999 is unknown")):
        (tmp_path / "no.pcap").write_bytes(data)
        with pytest.raises(ScenarioError, match=why):
            simulate(build({"table": {}, "traffic": {"pcap": str(tmp_path / "no.pcap")}}), "rr", 1)
    with pytest.raises(ScenarioError, match="No such file"):
        simulate(build({"table": {}, "traffic": {"pcap": str(tmp_path / "none.pcap")}}), "rr", 1)


def test_refused_rules_are_named() -> None:
    """Rules that the kernel refuses end the run with the kernel's words."""
    with pytest.raises(ScenarioError, match="refused"):
        simulate(made(), "nosuch", 1)
    with pytest.raises(ScenarioError, match="sysctl"):
        simulate(made(sysctl={"drop_packet": 9}), "rr", 1)


@pytest.mark.parametrize("name", gallery())
def test_a_trace_is_the_run(name: str) -> None:
    """The trace of a small scenario, replayed step by step, opens the run's connections on the same servers."""
    scenario = load(name).small
    for trace in traces(scenario, scenario.compare[0])[1]:
        header, *steps = trace.lines
        director = Replay(header)
        for step in steps:
            director.answer(step)
        counted: dict[str, int] = {}
        for server in [*_servers(director)]:
            label = f"10.0.{server.address[2]}.{server.address[3]}:{server.port}"
            counted[label] = counted.get(label, 0) + server.counters.conns
        assert counted == {server: count for server, count in trace.opened.items() if server in counted}


def _servers(director: Replay) -> Any:
    table = director.kernel.table
    yield from (server for service in table.services() for server in service.servers())
    yield from table.trash
