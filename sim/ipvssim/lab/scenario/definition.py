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

from ipvsnl import _files as files
from ipvssim.behaviours import resolve
from ipvssim.lab.scenario import laws
from ipvssim.lab.scenario.health import Checks, SlowStart, read_checks, read_slow_start
from ipvssim.lab.scenario.pools import read_pool
from ipvssim.lab.scenario.reader import Reader, ScenarioError, changed, check_name, paths, shown
from ipvssim.lab.scenario.rules import MOST_SERVERS, MOST_WEIGHT, Rules, endpoint, read_rules
from ipvssim.lab.scenario.values import NUMBERED, SAMPLES, Event, Stream, check_events, check_sizes
from ipvssim.net.packets import TCP

CLOSES = ("fin", "rst", "none")
SPREADS = ("flow", "client", "turn")
ACTIONS = ("remove", "add", "weight", "fail", "recover", "rules", "reload")
MEASURES = ("active", "most_active", "opened", "refused")
MOST_RUNS = 1_000_000
MOST_DIRECTORS = 1000
_ON = " on "
"""Between a variant's words and its kernel."""
_GALLERY = Path(__file__).parent.parent / "gallery"
"""The folder of the scenarios that come with the package."""


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
    kernels: tuple[str, ...]
    """The releases of Linux that directors run, each compared with the others; none: the one that is modelled."""
    seeds: int
    directors: int
    spread: str
    sample: float
    """Seconds between samples; 0: so that there are some 200."""
    sysctls: Mapping[str, Any]
    heat: int
    """How many clients the heat map shows."""
    sweep: Mapping[str, Sequence[Any]]
    checks: Checks | None = None
    slow_start: SlowStart | None = None

    def changed(self, changes: Mapping[str, Any]) -> Scenario:
        """The scenario with values put in by dotted path."""
        return build(changed(self.raw, changes))

    @property
    def variants(self) -> tuple[str, ...]:
        """What is compared: each way of scheduling, on each kernel; :func:`parted` takes them apart."""
        if not self.kernels:
            return self.compare
        return tuple(f"{words}{_ON}{kernel}".strip() for words in self.compare for kernel in self.kernels)

    @property
    def small(self) -> Scenario:
        """The scenario at the size at which it is put to a real kernel (its table ``[small]``)."""
        return self.changed(paths(self.raw.get("small", {})))


def load(path: str | Path) -> Scenario:
    """A scenario from a file, or from the gallery by its name; ScenarioError says what is wrong with it."""
    file = Path(path)
    source = file if file.suffix == ".toml" else _GALLERY / f"{path}.toml"
    try:
        data, _ = files.read(source, b"")
        raw = tomllib.loads(data.decode("utf-8"))
    except FileNotFoundError:
        known = ", ".join(gallery())
        raise ScenarioError(f"{path}: no such file, and the gallery has only {known}") from None
    except OSError as wrong:
        raise ScenarioError(f"{path}: {wrong.strerror}") from wrong
    except RecursionError:
        raise ScenarioError(f"{path}: tables and lists in one another without end") from None
    except ValueError as wrong:  # no TOML, no UTF-8, a number of thousands of digits, a name that no file has
        raise ScenarioError(f"{path}: {wrong}") from wrong
    raw.setdefault("name", file.stem)
    try:
        return build(_rooted(raw, file.parent))
    except ScenarioError as wrong:
        raise ScenarioError(f"{path}: {wrong}") from None


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
            name=check_name(top.take("name", str, "scenario")),
            title=top.take("title", str, ""),
            question=top.take("question", str, ""),
            rules=rules,
            streams=tuple(_stream(reader, rules) for reader in top.tables("traffic")),
            events=tuple(_event(reader, rules) for reader in top.tables("events")),
            compare=_compared(top),
            kernels=_kernels(top),
            seeds=top.whole_number("seeds", 1, 1, MOST_RUNS),
            directors=top.whole_number("directors", 1, 1, MOST_DIRECTORS),
            spread=top.choice("spread", SPREADS, "flow"),
            sample=top.number("sample", 0.0),
            sysctls=_sysctls(top),
            heat=top.whole_number("heat", 40, 0, 1000),
            sweep=_ranges(top),
            checks=read_checks(top),
            slow_start=read_slow_start(top),
        )
    if rules.capacity and any(stream.users and stream.connections for stream in scenario.streams):
        raise ScenarioError("traffic.connections: users who wait for servers (table.capacity) come for so many seconds")
    if rules.capacity and any(stream.pool is not None for stream in scenario.streams):
        raise ScenarioError("traffic.pool: who waits for servers (table.capacity) is not known of pools")
    if not scenario.streams:
        raise ScenarioError("traffic is missing")
    check_sizes(scenario.streams, scenario.sample, rules.servers)
    check_events(scenario.events, scenario.streams, rules, scenario.directors)
    return scenario


def _compared(top: Reader) -> tuple[str, ...]:
    found = [str(one) for one in top.listed("compare", str, []) or ()]
    twice = next((one for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise ScenarioError(f"compare: {shown(twice)} is there twice")
    return tuple(found) or ("",)


def _kernels(top: Reader) -> tuple[str, ...]:
    found = tuple(str(one) for one in top.listed("kernels", str, []) or ())
    for number, one in enumerate(found):
        if one in found[:number]:
            raise ScenarioError(f"kernels: {shown(one)} is there twice")
        try:
            resolve(one)
        except ValueError as wrong:
            raise ScenarioError(f"kernels: {wrong}") from None
    return found


def parted(variant: str) -> tuple[str, str]:
    """The words of ipvsadm and the kernel of a variant; the kernel is "" where none is named."""
    words, _, kernel = f" {variant}".rpartition(_ON) if _ON in f" {variant}" else (variant, "", "")
    return words.strip(), kernel


def _sysctls(top: Reader) -> dict[str, Any]:
    found: dict[str, Any] = top.take("sysctl", dict, {})
    for name, value in found.items():
        if not isinstance(value, (int, str)):
            raise ScenarioError(f"sysctl.{name}: {shown(value)} is neither a whole number nor a text")
    return found


def _ranges(top: Reader) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = top.take("sweep", dict, {})
    runs = 1
    for path, values in found.items():
        if not isinstance(values, list) or not values:
            raise ScenarioError(f"sweep.{path}: {shown(values)} is no list of values to put there")
        runs *= len(values)
    if runs > MOST_RUNS:
        raise ScenarioError(f"sweep: more than {MOST_RUNS:,} combinations")
    return found


def _stream(reader: Reader, rules: Rules) -> Stream:
    with reader.whole():
        recorded = reader.take("pcap", str, "")
        closed = reader.has("users") and not recorded
        if closed and reader.has("arrivals"):
            raise ScenarioError(f"{reader.place}: say either arrivals or users")
        users = reader.whole_number("users", None, 1, laws.MOST_CLIENTS) if closed else 0
        stream = Stream(
            service=reader.take("service", str, rules.service),
            arrivals={} if recorded or closed else reader.need("arrivals", dict),
            durations=reader.take("durations", dict, {"kind": "fixed", "seconds": 1}),
            clients=reader.take("clients", dict, {} if closed else {"kind": "uniform", "count": 1000}),
            connections=reader.whole_number("connections", 0, 0, laws.MOST_CONNECTIONS),
            seconds=reader.number("seconds", 0.0),
            packets=reader.whole_number("packets", 0, 0, 1_000_000),
            close=reader.choice("close", CLOSES, "fin"),
            replies=reader.take("replies", bool),
            start=reader.number("start", 0.0),
            reconnect=reader.take("reconnect", bool, False),
            pcap=recorded,
            place=reader.place,
            users=users,
            think=reader.take("think", dict, {}) if closed else {},
            pool=read_pool(reader) if not recorded else None,
        )
    end = endpoint(stream.service)
    size = len(end.address)
    if stream.pool is not None and (closed or stream.packets or stream.connections or end.protocol != TCP):
        raise ScenarioError(
            f"{reader.name('pool')}: it takes TCP and arrivals for so many seconds; no users, no packets"
        )
    if not recorded:
        if (stream.connections > 0) == (stream.seconds > 0):
            raise ScenarioError(f"{reader.place}: say either how many connections come or for how many seconds")
        laws.durations(stream.durations, reader.name("durations"))
        if not closed:
            laws.arrivals(stream.arrivals, reader.name("arrivals"))
        if stream.think:
            laws.durations(stream.think, reader.name("think"))
        if stream.clients or not closed:
            laws.clients(stream.clients, size, reader.name("clients"))
    return stream


def _event(reader: Reader, rules: Rules) -> Event:
    with reader.whole():
        action = reader.choice("do", ACTIONS)
        when = Reader(reader.take("when", dict, {}), reader.name("when"))
        timed, conditional = reader.has("at"), when.has("above") or when.has("measure")
        if timed == conditional:
            raise ScenarioError(f"{reader.place}: say either at or when")
        nodes = reader.listed("directors", int)
        numbered = action in NUMBERED
        if numbered and not rules.method:
            raise ScenarioError(f"{reader.place}: with rules of your own, events are rules too")
        server = reader.whole_number("server", None, 0, MOST_SERVERS - 1) if numbered else -1
        event = Event(
            action=action,
            server=server,
            weight=reader.whole_number("weight", None if action == "weight" else 1, 0, MOST_WEIGHT),
            rules=reader.need("rules", str) if action == "rules" else "",
            at=reader.number("at") if timed else None,
            measure=when.choice("measure", MEASURES) if conditional else "",
            above=when.number("above") if conditional else 0.0,
            directors=None if nodes is None else tuple(nodes),
            place=reader.place,
            address=rules.address(server) if numbered else "",
        )
        with when.whole():
            pass
    return event


def period(scenario: Scenario, end: float) -> float:
    """Seconds between two samples of a scenario that takes ``end`` seconds."""
    return scenario.sample or max(end / SAMPLES, 0.001)


def _rooted(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Files that a scenario names stand beside it; clients' addresses are read now, for workers on other machines."""
    traffic = raw.get("traffic", [])
    for stream in traffic if isinstance(traffic, list) else [traffic]:
        if not isinstance(stream, dict):
            continue
        if isinstance(stream.get("pcap"), str):
            stream["pcap"] = str((folder / stream["pcap"]).absolute())
        clients = stream.get("clients")
        if isinstance(clients, dict) and isinstance(clients.get("file"), str):
            try:
                text = files.read(folder / clients.pop("file"), b"")[0].decode("utf-8")
            except (OSError, ValueError) as wrong:
                raise ScenarioError(f"traffic.clients.file: {wrong}") from wrong
            clients["addresses"] = [line.split() for line in text.splitlines() if line.strip()]
    return raw
