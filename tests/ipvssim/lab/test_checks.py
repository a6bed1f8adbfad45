"""Servers that fail: who is sent to them until the checks notice, and how they come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipvssim.lab import Outcome, ScenarioError, build, compare, report, simulate
from ipvssim.lab.run.traces import traces
from ipvssim.lab.show import terminal
from ipvssim.lab.show.figures import FIGURES, summaries

TRAFFIC: dict[str, Any] = {
    "arrivals": {"kind": "constant", "rate": 40}, "durations": {"kind": "fixed", "seconds": 2}, "seconds": 100,
}  # fmt: skip
CHECKS: dict[str, Any] = {"interval": 5, "rise": 2, "fall": 3, "timeout": 1}


def raw(*events: dict[str, Any], checks: dict[str, Any] | None = CHECKS, **more: Any) -> dict[str, Any]:
    table = {"servers": 4, "options": "-g", "weights": [2], **more.pop("table", {})}
    health = {} if checks is None else {"checks": checks}
    return {"table": table, "traffic": {**TRAFFIC, **more.pop("traffic", {})}, "events": list(events), **health, **more}


def failing(at: float, until: float | None = None, server: int = 1) -> list[dict[str, Any]]:
    back = [] if until is None else [{"at": until, "do": "recover", "server": server}]
    return [{"at": at, "do": "fail", "server": server}, *back]


def changes(one: Outcome) -> list[tuple[str, float]]:
    return [(change.label.partition(" server")[0], round(change.at, 6)) for change in one.changes]


def weights(one: Outcome, server: int = 1) -> list[int]:
    """The weights that a server had, one after another."""
    column = one.grids["weight"][:, server].tolist()
    return [each for number, each in enumerate(column) if number == 0 or each != column[number - 1]]


@pytest.mark.parametrize(
    ("at", "fall", "timeout", "noticed"),
    [
        (12, 3, 1, 26),
        (15, 3, 1, 26),
        (15.001, 3, 1, 31),
        (12, 1, 1, 16),
        (12, 3, 5, 30),
        (12, 2, 5, 25),
        (0, 2, 0.5, 5.5),
    ],
)
def test_when_a_failure_is_noticed(at: float, fall: int, timeout: float, noticed: float) -> None:
    """At the first check after it, fall - 1 intervals later, and after a timeout the server is taken out."""
    one = simulate(build(raw(*failing(at), checks={**CHECKS, "fall": fall, "timeout": timeout})), "rr", 1)
    assert changes(one) == [("fail", at), ("take out", noticed)]
    assert weights(one) == [2, 0]


@pytest.mark.parametrize("variant", ["rr", "wrr"])
@pytest.mark.parametrize("action", ["remove", "weight 0"])
@pytest.mark.parametrize("options", ["-g", "-m"])
def test_who_is_sent_to_a_dead_server(variant: str, action: str, options: str) -> None:
    """In turns, the dead one of n servers gets rate × time / n connections until it is noticed; nothing after that."""
    scenario = build(raw(*failing(12), checks={**CHECKS, "action": action}, table={"options": options}))
    one = simulate(scenario, variant, 1)
    assert one.counts["dead"] == one.figures["dead"] == 40 * (26 - 12) / 4
    assert one.figures["dead_after"] == 0.25
    assert one.figures["dead_after_2"] == 0
    assert one.figures["refused_after"] == one.figures["refused"] == 0


def test_wlc_avoids_a_dead_server_for_a_while() -> None:
    """Connections that nobody answered stay open at the director for SYN_RECV's minute: wlc sends fewer there than rr."""
    dead = {variant: simulate(build(raw(*failing(12))), variant, 1).counts["dead"] for variant in ("rr", "wlc")}
    assert 0 < dead["wlc"] < dead["rr"] / 2


def test_how_a_server_comes_back() -> None:
    """At the rise-th good check it comes back with its weight, and is given connections again."""
    one = simulate(build(raw(*failing(12, 51))), "rr", 1)
    assert changes(one) == [("fail", 12), ("take out", 26), ("recover", 51), ("bring back", 60)]
    assert weights(one) == [2, 0, 2]
    assert one.changes[3].joined == {1}
    assert one.counts["dead"] == 140


def test_a_short_failure_is_not_noticed() -> None:
    """Checks that fail count only in a row: two, a good one and two more leave the server where it is."""
    one = simulate(build(raw(*failing(12, 22), *failing(27, 37))), "rr", 1)
    assert [what for what, _ in changes(one)] == ["fail", "recover"] * 2
    assert weights(one) == [2]
    assert one.counts["dead"] == 40 * 20 / 4


def test_without_checks_nobody_notices() -> None:
    """A server that fails stays in the table, where nothing checks it."""
    one = simulate(build(raw(*failing(60), checks=None)), "rr", 1)
    assert changes(one) == [("fail", 60)]
    assert one.figures["dead"] == 40 * 40 / 4


def test_persistence_holds_clients_at_a_dead_server() -> None:
    """At weight 0 templates go on sending their clients there, unless expire_quiescent_template says otherwise; a removed
    server's do not."""

    def dead(action: str, **sysctl: int) -> float:
        clients = {"clients": {"kind": "uniform", "count": 40}}
        checks = {**CHECKS, "action": action}
        scenario = build(raw(*failing(42), checks=checks, traffic=clients, sysctl=sysctl))
        return simulate(scenario, "rr -p 300", 1).figures["dead_after_2"]

    assert dead("weight 0") == pytest.approx(0.25, abs=0.05)
    assert dead("weight 0", expire_quiescent_template=1) == dead("remove") == 0


@pytest.mark.parametrize("action", ["remove", "weight 0"])
def test_clients_come_back_when_it_is_noticed(action: str) -> None:
    """Clients with reconnect leave a dead server when the checks take it out, whichever way: those that it had."""
    traffic = {
        "arrivals": {"kind": "constant", "rate": 1}, "durations": {"kind": "fixed", "seconds": 500}, "seconds": 40,
        "reconnect": True, "packets": 100,
    }  # fmt: skip
    one = simulate(build(raw(*failing(20.5), checks={**CHECKS, "action": action}, traffic=traffic)), "rr", 1)
    assert one.counts["dead"] == 4  # of 21 to 36 s: these know that nobody answered, and gave up
    assert one.counts["reopened"] == one.figures["broken"] == 5
    assert one.figures["broken_2"] == 0  # they were broken when it failed


@pytest.mark.parametrize("variant", ["rr", "lc", "wlc"])
def test_a_member_that_restarts_stays_empty(variant: str) -> None:
    """27 long connections on three servers, of which one fails and comes back: its nine go to the others and stay there."""
    long = {
        "arrivals": {"kind": "constant", "rate": 1}, "durations": {"kind": "fixed", "seconds": 6000}, "connections": 27,
        "packets": 600, "reconnect": True,
    }  # fmt: skip
    short = {"arrivals": {"kind": "constant", "rate": 0.05}, "seconds": 400, "start": 30}
    scenario = raw(*failing(62, 121), table={"servers": 3, "options": "-m"}, sysctl={"expire_nodest_conn": 1})
    one = simulate(build({**scenario, "traffic": [long, short]}), variant, 1)
    first, back, last = one.grids["active"][-1].tolist()
    assert min(first, last) >= 13
    assert back <= 1
    assert one.counts["reopened"] == 9
    assert [what for what, _ in changes(one)] == ["fail", "take out", "recover", "bring back"]


@pytest.mark.parametrize("action", ["remove", "weight 0"])
def test_an_administrator_meanwhile(action: str) -> None:
    """A weight given to a server that is out waits until it comes back; one that was removed or added is the
    administrator's again, and is checked anew."""
    checks = {**CHECKS, "action": action}
    weight = {"at": 30, "do": "weight", "server": 1, "weight": 7}
    assert weights(simulate(build(raw(*failing(12, 41), weight, checks=checks)), "rr", 1)) == [2, 0, 7]
    remove = {"at": 30, "do": "remove", "server": 1}
    gone = simulate(build(raw(*failing(12, 41), remove, checks=checks)), "rr", 1)
    assert [what for what, _ in changes(gone)] == ["fail", "take out", "remove", "recover"]
    add = {"at": 35, "do": "add", "server": 1, "weight": 3}
    again = simulate(build(raw(*failing(12, 71), remove, add, checks=checks)), "rr", 1)
    assert changes(again)[3:] == [("add", 35), ("take out", 46), ("recover", 71), ("bring back", 80)]
    assert weights(again) == [2, 0, 3, 0, 3]


def test_a_reload_puts_the_dead_in_again() -> None:
    """A table that is made anew has every server, and the checks find the dead one again."""
    one = simulate(build(raw(*failing(12), {"at": 38, "do": "reload"})), "rr", 1)
    assert changes(one) == [("fail", 12), ("take out", 26), ("reload at 38 s", 38), ("take out", 51)]


@pytest.mark.parametrize("action", ["remove", "weight 0"])
def test_one_director_anew_leaves_the_others(action: str) -> None:
    """A table made anew at one director is checked anew there; the other brings back what it had taken out."""
    reload = {"at": 38, "do": "reload", "directors": [0]}
    checks = {**CHECKS, "action": action}
    outcome, made = traces(build(raw(*failing(12, 39), reload, directors=2, checks=checks)), "rr")
    assert changes(outcome)[-1] == ("bring back", 45)
    assert outcome.grids["weight"][-1].tolist() == [2, 2, 2, 2]
    told = [[step["stdin"][:2] for step in trace.lines if step.get("do") == "ipvsadm"][1:] for trace in made]
    assert told == ([["-d", "-C"], ["-d", "-a"]] if action == "remove" else [["-e", "-C"], ["-e", "-e"]])


def test_every_director_is_told() -> None:
    """The checks of all directors see the same; a server that one director never had does not come to it."""
    remove = {"at": 5, "do": "remove", "server": 1, "directors": [1]}
    one = build(raw(*failing(12, 51), remove, directors=2))
    outcome, made = traces(one, "rr")
    assert [what for what, _ in changes(outcome)] == ["remove", "fail", "take out", "recover", "bring back"]
    told = [[step["stdin"] for step in trace.lines if step.get("do") == "ipvsadm"][1:] for trace in made]
    assert [[line.split()[0] for line in each] for each in told] == [["-d", "-a"], ["-d"]]


def test_what_it_looks_like(tmp_path: Path) -> None:
    """Terminal, page, pictures and rows show who was sent to a dead server beside what the event did; where nothing fails,
    nobody speaks of it."""
    from rich.console import Console

    scenario = build({**raw(*failing(12)), "compare": ["rr", "wlc"]})
    found = summaries(compare(scenario, jobs=1))
    with (tmp_path / "said").open("w") as out:
        terminal.show(Console(file=out, width=140), scenario, found)
    assert FIGURES["dead_after"].short in (tmp_path / "said").read_text()
    page, *pictures = report(scenario, compare(scenario, jobs=1), tmp_path, ["html", "svg"])
    assert FIGURES["dead_after"].words in page.read_text()
    assert FIGURES["dead"].words in page.read_text()
    assert any("dead server" in picture.read_text() for picture in pictures)
    quiet = simulate(build(raw()), "rr", 1)
    assert not any("dead" in name for name in (*quiet.figures, *quiet.counts))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"checks.interval": 0}, "checks.interval: 0 is not above 0"),
        ({"checks.fall": 0}, "checks.fall: 0 is not from 1 to 1,000"),
        ({"checks.rise": 1.5}, "checks.rise: 1.5 is not a whole number"),
        ({"checks.timeout": 6}, "checks.timeout: 6.0 is not above 0 and at most the interval, 5"),
        ({"checks.action": "drain"}, "checks.action: 'drain' is none of remove, weight 0"),
        ({"checks.often": 1}, "checks.often: unknown"),
        ({"checks": {"fall": 3}}, "checks.interval is missing"),
        ({"checks": 5}, "checks: 5 is not a table"),
        ({"events": failing(12, server=4)}, "there is no server 4 (0 to 3)"),
        ({"events": failing(12, 20)[1:]}, "events.server: no event lets server 1 fail, so it can't recover"),
        ({"events": [{**failing(12)[0], "directors": [0]}]}, "events.directors: [0] is not possible"),
        ({"events": failing(100)}, "events.at: 100 s is not before the end"),
        ({"table": {"rules": "-A -t 192.0.2.1:80 -s rr"}}, "with rules of your own, events are rules too"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], words: str) -> None:
    """Checks and failures that can't be are refused before a run, with their place, their value and what is allowed."""
    with pytest.raises(ScenarioError) as refused:
        build(raw(*failing(12))).changed(changed)
    assert words in str(refused.value)
