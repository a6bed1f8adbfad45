"""Scenarios: what a TOML file says, as values that have been checked.

A scenario is a table of ipvsadm rules, traffic, events, and the ways of scheduling to compare. Times are seconds since the
scenario began. docs/use/scheduler-laboratory.md has every key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipvssim.lab.scenario.reader import NUMBER, Reader, ScenarioError, changed, paths
from ipvssim.lab.scenario.rules import Rules, read_rules

CLOSES = ("fin", "rst", "none")
SPREADS = ("flow", "client", "turn")
ACTIONS = ("remove", "add", "weight", "rules", "reload")
MEASURES = ("active", "most_active", "opened", "refused")
_SAMPLES = 200
_GALLERY = Path(__file__).parent.parent / "gallery"
"""The folder of the scenarios that come with the package."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Connections to one service; ``arrivals``, ``durations`` and ``clients`` are read where they are drawn."""

    service: str
    arrivals: Mapping[str, Any]
    durations: Mapping[str, Any]
    clients: Mapping[str, Any]
    connections: int
    """How many; 0: as many as come in ``seconds``."""
    seconds: float
    packets: int
    """Packets of data, between the opening and the closing."""
    close: str
    replies: bool | None
    """Whether servers' replies pass the director; None: where its servers are masqueraded."""
    start: float
    pcap: str


@dataclass(frozen=True, slots=True)
class Event:
    """What an administrator does, on some directors (None: on all): at a time, or when a measure first passes a limit."""

    action: str
    server: int
    weight: int
    rules: str
    at: float | None
    measure: str
    above: float
    directors: tuple[int, ...] | None

    @property
    def label(self) -> str:
        """In a few words."""
        what = {"rules": "rules", "reload": "reload"}.get(self.action, f"{self.action} server {self.server}")
        if self.action == "weight":
            what += f" = {self.weight}"
        return f"{what} at {self.at:g} s" if self.at is not None else f"{what} when {self.measure} > {self.above:g}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario, checked. ``raw`` is what it was read from."""

    raw: Mapping[str, Any] = field(repr=False)
    name: str
    title: str
    question: str
    rules: Rules
    streams: tuple[Stream, ...]
    events: tuple[Event, ...]
    compare: tuple[str, ...]
    """Words of ipvsadm put after each service, beginning with the scheduler: ``sh -b sh-port``."""
    seeds: int
    directors: int
    spread: str
    sample: float
    """Seconds between samples; 0: so that there are some 200."""
    sysctls: Mapping[str, Any]
    heat: int
    """How many clients the heat map shows."""
    sweep: Mapping[str, Sequence[Any]]

    def changed(self, changes: Mapping[str, Any]) -> Scenario:
        """The scenario with values put in by dotted path."""
        return build(changed(self.raw, changes))

    @property
    def small(self) -> Scenario:
        """The scenario at the size at which it is put to a real kernel (its table ``[small]``)."""
        return self.changed(paths(self.raw.get("small", {})))


def load(path: str | Path) -> Scenario:
    """A scenario from a file, or from the gallery by its name; ScenarioError says what is wrong with it."""
    file = Path(path)
    source = file if file.suffix == ".toml" else _GALLERY / f"{path}.toml"
    try:
        raw = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(gallery())
        raise ScenarioError(f"{path}: no such file, and the gallery has only {known}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise ScenarioError(f"{path}: {wrong}") from wrong
    raw.setdefault("name", file.stem)
    return build(_rooted(raw, file.parent))


def gallery() -> list[str]:
    """The names of the scenarios that come with the package."""
    folder = _GALLERY
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def build(raw: Mapping[str, Any]) -> Scenario:
    """A scenario from nested tables; ScenarioError says what is wrong with them."""
    with Reader(raw, "").whole() as top:
        rules = read_rules(top.take("table", dict, {}))
        top.take("small", dict)
        scenario = Scenario(
            raw=raw,
            name=top.take("name", str, "scenario"),
            title=top.take("title", str, ""),
            question=top.take("question", str, ""),
            rules=rules,
            streams=tuple(_stream(reader, rules) for reader in top.tables("traffic")),
            events=tuple(_event(reader, rules) for reader in top.tables("events")),
            compare=tuple(map(str, top.take("compare", list, []))) or ("",),
            seeds=top.take("seeds", int, 1),
            directors=top.take("directors", int, 1),
            spread=top.choice("spread", SPREADS, "flow"),
            sample=float(top.take("sample", NUMBER, 0)),
            sysctls=top.take("sysctl", dict, {}),
            heat=top.take("heat", int, 40),
            sweep=top.take("sweep", dict, {}),
        )
    if not scenario.streams:
        raise ScenarioError("traffic is missing")
    if scenario.seeds < 1 or scenario.directors < 1 or scenario.sample < 0:
        raise ScenarioError("seeds and directors are at least 1, sample is not negative")
    return scenario


def _stream(reader: Reader, rules: Rules) -> Stream:
    with reader.whole():
        recorded = reader.take("pcap", str, "")
        stream = Stream(
            service=reader.take("service", str, rules.service),
            arrivals={} if recorded else reader.need("arrivals", dict),
            durations=reader.take("durations", dict, {"kind": "fixed", "seconds": 1}),
            clients=reader.take("clients", dict, {"kind": "uniform", "count": 1000}),
            connections=reader.take("connections", int, 0),
            seconds=float(reader.take("seconds", NUMBER, 0)),
            packets=reader.take("packets", int, 0),
            close=reader.choice("close", CLOSES, "fin"),
            replies=reader.take("replies", bool),
            start=float(reader.take("start", NUMBER, 0)),
            pcap=recorded,
        )
    if not recorded and (stream.connections > 0) == (stream.seconds > 0):
        raise ScenarioError(f"{reader.place}: say either how many connections come or for how many seconds")
    if stream.packets < 0 or stream.start < 0:
        raise ScenarioError(f"{reader.place}: packets and start are not negative")
    return stream


def _event(reader: Reader, rules: Rules) -> Event:
    with reader.whole():
        action = reader.choice("do", ACTIONS)
        when = Reader(reader.take("when", dict, {}), reader.name("when"))
        at = reader.take("at", NUMBER)
        if (at is None) != when.has("above"):
            raise ScenarioError(f"{reader.place}: say either at or when")
        nodes = reader.take("directors", list)
        event = Event(
            action=action,
            server=reader.need("server", int) if action in ("remove", "add", "weight") else -1,
            weight=reader.need("weight", int) if action == "weight" else reader.take("weight", int, 1),
            rules=reader.need("rules", str) if action == "rules" else "",
            at=None if at is None else float(at),
            measure=when.choice("measure", MEASURES) if at is None else "",
            above=float(when.need("above", NUMBER)) if at is None else 0.0,
            directors=None if nodes is None else tuple(map(int, nodes)),
        )
        with when.whole():
            pass
    if action in ("remove", "add", "weight") and not rules.method:
        raise ScenarioError(f"{reader.place}: with rules of your own, events are rules too")
    return event


def period(scenario: Scenario, end: float) -> float:
    """Seconds between two samples of a scenario that takes ``end`` seconds."""
    return scenario.sample or max(end / _SAMPLES, 0.001)


def _rooted(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Files that a scenario names stand beside it; clients' addresses are read now, for workers on other machines."""
    traffic = raw.get("traffic", [])
    for stream in traffic if isinstance(traffic, list) else [traffic]:
        if not isinstance(stream, dict):
            continue
        if isinstance(stream.get("pcap"), str):
            stream["pcap"] = str((folder / stream["pcap"]).resolve())
        clients = stream.get("clients")
        if isinstance(clients, dict) and isinstance(clients.get("file"), str):
            try:
                text = (folder / clients.pop("file")).read_text(encoding="utf-8")
            except OSError as wrong:
                raise ScenarioError(f"traffic.clients.file: {wrong}") from wrong
            clients["addresses"] = [line.split() for line in text.splitlines() if line.strip()]
    return raw
