"""What an event does to clients and connections: whose moves, whose refusals, and whose connections are broken by it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ipvssim.lab import Outcome, Scenario, build, report, simulate
from ipvssim.lab.run.engine import Engine
from ipvssim.lab.run.sweeps import points, row
from ipvssim.lab.show import terminal
from ipvssim.lab.show.figures import DISRUPTION, groups, names, summaries

SERVERS = 12
DRAINED = 4
TRAFFIC: dict[str, Any] = {
    "arrivals": {"kind": "constant", "rate": 100}, "durations": {"kind": "fixed", "seconds": 5}, "seconds": 40,
    "clients": {"kind": "uniform", "count": 300},
}  # fmt: skip


def drain(*servers: int, at: float = 20) -> list[dict[str, Any]]:
    return [{"at": at, "do": "weight", "server": server, "weight": 0} for server in servers]


def run(variant: str, events: list[dict[str, Any]], servers: int = SERVERS, **more: Any) -> Outcome:
    return simulate(build({"table": {"servers": servers}, "traffic": TRAFFIC, "events": events, **more}), variant, 1)


@pytest.mark.parametrize("variant", ["rr", "wlc", "sh", "mh"])
def test_a_drain_breaks_nothing(variant: str) -> None:
    """A server of weight 0 serves the connections that it has: none is broken, though hashing refuses new ones."""
    one = run(variant, drain(3))
    assert one.changes[0].figures["broken"] == 0
    refused = one.figures["refused_after"]
    assert refused == 0 if variant in ("rr", "wlc") else 0.04 < refused < 0.14
    assert (one.figures["moved"] == 0) == (variant in ("sh", "mh"))


@pytest.mark.parametrize("variant", ["rr", "wlc", "sh", "mh"])
def test_what_is_removed_breaks(variant: str) -> None:
    """Connections of a server that is gone are broken, drained before or not; those that ended by then are not."""
    straight = run(variant, [{"at": 20, "do": "remove", "server": 3}])
    assert straight.figures["broken"] == straight.grids["active"][straight.times < 20][-1][3] > 0
    early = run(variant, [*drain(3, at=18), {"at": 20, "do": "remove", "server": 3}])
    late = run(variant, [*drain(3, at=10), {"at": 20, "do": "remove", "server": 3}])
    assert early.figures["broken"] == late.figures["broken"] == late.figures["broken_2"] == 0
    assert early.figures["broken_2"] > 0


def test_a_reload_breaks_nothing() -> None:
    """Servers that come back with a reload still have their connections."""
    assert run("wlc", [{"at": 20, "do": "reload"}]).figures["broken"] == 0


def test_one_director_s_connections_break() -> None:
    """A server that one of two directors lost has broken what came through that one, and no more."""
    events = [{"at": 20, "do": "remove", "server": 3, "directors": [1]}]
    engine = Engine(build({"table": {"servers": 4}, "traffic": TRAFFIC, "events": events, "directors": 2}), "rr", 1)
    one = engine.run()
    assert 0 < one.figures["broken"] < one.grids["active"][one.times < 20][-1][3]


def test_a_client_that_is_refused_had_to_move() -> None:
    """Clients of drained servers count as those that had to move, whether another server takes them or none does."""
    for variant in ("mh", "wlc"):
        one = run(variant, drain(*range(DRAINED)))
        last = "_4"
        assert one.figures["forced" + last] == pytest.approx(DRAINED / SERVERS, abs=0.12)
        assert (one.figures["refused_after" + last] > 0.2) == (variant == "mh")


def test_a_persistent_client_stays_on_a_drained_server() -> None:
    """A template keeps a client on its server, whatever its weight: nobody had to move, and nobody is refused."""
    one = run("wlc -p 600", drain(3))
    assert one.figures["forced"] == one.figures["refused_after"] == one.figures["moved"] == 0


@pytest.fixture(scope="module")
def drained() -> tuple[Scenario, list[Outcome]]:
    raw = {"table": {"servers": SERVERS}, "traffic": TRAFFIC, "events": drain(3), "compare": ["rr", "mh"]}
    scenario = build(raw)
    return scenario, [simulate(scenario, variant, 1) for variant in scenario.compare]


def test_refusals_stand_beside_moves_everywhere(drained: tuple[Scenario, list[Outcome]], tmp_path: Path) -> None:
    """Terminal, picture, page and a sweep's row tell what was refused wherever they tell what moved."""
    scenario, outcomes = drained
    share = outcomes[1].figures["refused_after"]
    assert share > 0.04
    for width in (60, 80, 120, 200):
        console = Console(width=width, record=True, file=(tmp_path / "out").open("w"))
        terminal.show(console, scenario, summaries(outcomes))
        shown = console.export_text()
        if width >= 80:
            assert "moved" in shown
            assert f"{share * 100:.2f} %" in shown
    page, picture, _ = report(scenario, outcomes, tmp_path, ["html", "svg"])
    assert "connections refused after it" in page.read_text()
    assert picture.stat().st_size > 10_000
    assert row(points(scenario)[1])["refused_after"] == share
    _, (label, known) = groups(summaries(outcomes))
    assert label == "weight server 3 (10.0.0.13) = 0 at 20 s"
    assert set(known) >= set(DISRUPTION) - {"dead_after"}  # no server fails here
    assert known.index("refused_after") == known.index("moved") + 1


def test_the_page_s_data_has_refusals(drained: tuple[Scenario, list[Outcome]], tmp_path: Path) -> None:
    """The page's data has the refusals after an event, even where there were none: 0 is an answer."""
    scenario, outcomes = drained
    (path,) = report(scenario, outcomes, tmp_path, ["html"])
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found is not None
    figures = [one["figures"] for one in json.loads(found[1])["variants"]]
    assert figures[0]["refused_after"]["mean"] == 0
    assert figures[1]["refused_after"]["mean"] > 0
    assert "refused_after" in names(summaries(outcomes[:1]))
