"""Scenarios as they are written: read strictly, changed by path, every one of the gallery whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipvssim import lab
from ipvssim.lab import ScenarioError, build, gallery, load

PLAIN: dict[str, Any] = {
    "table": {"servers": 3, "weights": [1, 2]},
    "traffic": {"arrivals": {"kind": "constant", "rate": 10}, "seconds": 2},
}


@pytest.mark.parametrize("name", gallery())
def test_the_gallery_is_whole(name: str) -> None:
    """A scenario of the gallery reads, asks a question, compares, and has a small form for real kernels."""
    scenario = load(name)
    assert scenario.title
    assert scenario.question
    assert len(scenario.compare) > 1
    assert scenario.seeds > 1
    assert scenario.small.seeds == 1


def test_rules_are_written_out() -> None:
    """A service, a number of servers and weights become ipvsadm's rules; a variant takes the scheduler's place."""
    rules = build(PLAIN).rules
    assert rules.lines("sh -b sh-port") == [
        "-A -t 203.0.113.1:80 -s sh -b sh-port",
        "-a -t 203.0.113.1:80 -r 10.0.0.10:80 -g  -w 1",
        "-a -t 203.0.113.1:80 -r 10.0.0.11:80 -g  -w 2",
        "-a -t 203.0.113.1:80 -r 10.0.0.12:80 -g  -w 1",
    ]
    own = build(
        {**PLAIN, "table": {"rules": "# mine\n-A -u 192.0.2.1:53 -s rr -p 60\n-a -u 192.0.2.1:53 -r 192.0.2.2 -m"}}
    )
    assert own.rules.service == "-u 192.0.2.1:53"
    assert own.rules.lines("wlc")[0] == "-A -u 192.0.2.1:53 -p 60 -s wlc"
    assert own.rules.lines("-p 300")[0].endswith("-p 300")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table.server": 3}, "table.server: unknown"),
        ({"table.servers": "3"}, "not a whole number"),
        ({"table.servers": True}, "not a whole number"),
        ({"traffic.connections": 5}, "either how many connections"),
        ({"traffic.close": "softly"}, "none of fin"),
        ({"events": [{"do": "remove", "at": 1}]}, "server is missing"),
        ({"events": [{"do": "remove", "server": 1}]}, "either at or when"),
        ({"events": [{"do": "explode", "at": 1}]}, "none of remove"),
        ({"traffic.arrivals": 7}, "not a table"),
        ({"seeds": 0}, "seeds: 0 is not from 1 to"),
        ({"table.service": "-t www.example:80"}, "addresses are numbers"),
        ({"spread": "wide"}, "none of flow"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], words: str) -> None:
    """A scenario that can't be run is refused, with the place in it."""
    with pytest.raises(ScenarioError, match=words):
        build(PLAIN).changed(changes)


def test_files(tmp_path: Path) -> None:
    """Clients come from a file beside the scenario; what is not there, or no TOML, is named."""
    (tmp_path / "clients.txt").write_text("192.0.2.1 3\n\n192.0.2.2\n")
    path = tmp_path / "mine.toml"
    path.write_text('[traffic]\narrivals = {kind="constant", rate=1}\nseconds = 1\nclients = {file = "clients.txt"}\n')
    scenario = load(path)
    assert scenario.name == "mine"
    assert scenario.streams[0].clients == {"addresses": [["192.0.2.1", "3"], ["192.0.2.2"]]}
    with pytest.raises(ScenarioError, match="the gallery has only failure"):
        load("nothing")
    path.write_text("traffic = ")
    with pytest.raises(ScenarioError, match=r"mine\.toml"):
        load(path)


def test_a_change_leaves_the_original() -> None:
    """Values are put in by dotted path, into a copy; arrays are entered by number."""
    scenario = build({**PLAIN, "traffic": [PLAIN["traffic"]]})
    other = scenario.changed({"traffic.0.seconds": 9, "table.servers": 7})
    assert (other.streams[0].seconds, other.rules.servers) == (9.0, 7)
    assert (scenario.streams[0].seconds, scenario.rules.servers) == (2.0, 3)
    with pytest.raises(ScenarioError, match="no such place"):
        scenario.changed({"traffic.3.seconds": 9})


def test_the_gallery_can_be_asked_twice() -> None:
    """Reading its folder leaves the function's name alone (a folder imported as a package would take it)."""
    assert lab.gallery() == lab.gallery()
    assert load("nat-client").name == lab.gallery()[lab.gallery().index("nat-client")]
