"""A run spread over processes by director is the run in one process, to the last digit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings

from ipvssim.lab import ScenarioError, build, compare, gallery, load
from ipvssim.lab.run import noted, parts
from ipvssim.lab.run.engine import Drawn, Engine, drawn
from ipvssim.lab.run.parts import Part
from ipvssim.lab.run.sweeps import START
from ipvssim.lab.scenario.definition import Scenario
from tests.ipvssim.lab import test_express, test_flows
from tests.ipvssim.lab.test_flows import told

SEVERAL: dict[str, Any] = {
    "table": {"servers": 4}, "directors": 3, "seeds": 1, "compare": ["wlc"],
    "traffic": {"arrivals": {"kind": "poisson", "rate": 40}, "seconds": 10},
}  # fmt: skip
forks = pytest.mark.skipif(START != "fork", reason="processes do not begin as copies of this one here")


@forks
@pytest.mark.parametrize("name", gallery())
def test_the_gallery_is_the_same(name: str) -> None:
    """Every scenario of the gallery, small and with at least three directors, gives the same in two processes."""
    small = load(name).small
    scenario = small.changed({"directors": max(small.directors, 3)})
    assert parts.spreads(scenario)
    for variant in scenario.variants:
        spread = parts.simulate(scenario, variant, 1, jobs=2, least=0)
        assert told(spread) == told(Engine(scenario, variant, 1).run())


def apart(scenario: Scenario, variant: str, seed: int, count: int) -> list[Any]:
    """What a run yields that is played in parts, one after another."""
    traffic, route = drawn(scenario, seed)
    each = [Part(first, count).flows(route) for first in range(count)]
    played = [
        Engine(scenario, variant, seed, known=Drawn(traffic.of_flows(mine), route)).play().of(mine) for mine in each
    ]
    return told(noted.outcome(scenario, variant, seed, traffic, route, noted.joined(played, each)))


def same(scenario: Scenario, variant: str, seed: int) -> None:
    """Parts of it, joined, are the run; or none is where a rule of it is refused."""
    assume(parts.spreads(scenario))
    try:
        whole = told(Engine(scenario, variant, seed).run())
    except ScenarioError as refused:
        with pytest.raises(ScenarioError) as raised:
            apart(scenario, variant, seed, 2)
        assert str(raised.value) == str(refused)
        return
    assert apart(scenario, variant, seed, 2) == whole
    if scenario.directors > 2:
        assert apart(scenario, variant, seed, 3) == whole


@forks
@settings(max_examples=40, deadline=None)
@given(test_express.scenarios())
def test_a_plain_scenario_is_the_same(made: tuple[Scenario, str, int]) -> None:
    """Whatever happens in a run that is mostly the lane's, its parts are the run."""
    scenario, variant, seed = made
    same(scenario.changed({"directors": max(scenario.directors, 3)}), variant, seed)


@forks
@settings(max_examples=40, deadline=None)
@given(test_flows.scenarios())
def test_a_scenario_is_the_same(made: tuple[Scenario, str, int]) -> None:
    """Whatever is balanced how, under whatever tunables and events, clients that come back included, parts are the run."""
    scenario, variant, seed = made
    same(scenario.changed({"directors": 2}), variant, seed)


@forks
def test_events_of_some_directors() -> None:
    """Servers that come at some directors only have the numbers of the whole run in each part."""
    events = [
        {"at": 2, "do": "add", "server": 7, "weight": 3, "directors": [2]},
        {"at": 3, "do": "remove", "server": 1, "directors": [0]},
        {"at": 4, "do": "add", "server": 6, "weight": 2, "directors": [0, 1]},
        {"at": 5, "do": "fail", "server": 2}, {"at": 7, "do": "recover", "server": 2},
    ]  # fmt: skip
    checks = {"interval": 1, "timeout": 0.5}
    scenario = build({**SEVERAL, "events": events, "checks": checks})
    whole = told(Engine(scenario, "wlc", 1).run())
    assert apart(scenario, "wlc", 1, 2) == apart(scenario, "wlc", 1, 3) == whole


@pytest.mark.parametrize(
    "more",
    [
        {"directors": 1}, {"table": {"servers": 4, "capacity": 2}},
        {"events": [{"when": {"measure": "opened", "above": 5}, "do": "remove", "server": 1}]},
    ],
)  # fmt: skip
def test_what_stays_in_one_process(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One director, servers whose queue all directors fill, and events that wait for what all of them count."""
    scenario = build({**SEVERAL, **more})
    assert not parts.spreads(scenario)
    monkeypatch.setattr(parts, "pool", lambda *_, **__: pytest.fail("it was spread"))
    assert told(parts.simulate(scenario, "wlc", 1, jobs=2, least=0)) == told(Engine(scenario, "wlc", 1).run())


def test_a_small_run_stays_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are begun for many connections only, and where there may be more than one."""
    monkeypatch.setattr(parts, "pool", lambda *_, **__: pytest.fail("it was spread"))
    assert len(compare(build(SEVERAL), jobs=2)) == 1
    assert parts.simulate(build(SEVERAL), "wlc", 1, jobs=1, least=0).complete


_play = parts._play
_MARK = "IPVSSIM_TEST_MARK"


def dying(part: Part) -> noted.Noted:
    """Kills its process the first time that a second part is played."""
    mark = Path(os.environ[_MARK])
    if part.first == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _play(part)


@forks
def test_a_killed_worker_costs_its_part_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part of a worker that was killed is played again, from the beginning, for the same figures."""
    monkeypatch.setenv(_MARK, str(tmp_path / "mark"))
    monkeypatch.setattr(parts, "_play", dying)
    scenario = build(SEVERAL)
    assert told(parts.simulate(scenario, "wlc", 1, jobs=2, least=0)) == told(Engine(scenario, "wlc", 1).run())
    assert (tmp_path / "mark").exists()


def interrupting(part: Part) -> noted.Noted:
    """Interrupts whoever spread the run, as somebody at a terminal does."""
    if part.first == 0:  # once
        os.kill(os.getppid(), signal.SIGINT)
    return _play(part)


@forks
def test_an_interrupted_run_yields_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyboardInterrupt goes on to the caller when the parts have ended: half of some parts is no run."""
    monkeypatch.setattr(parts, "_play", interrupting)
    with pytest.raises(KeyboardInterrupt):
        parts.simulate(build(SEVERAL), "wlc", 1, jobs=2, least=0)
    assert not parts._RUNS
