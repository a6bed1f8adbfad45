"""Scenarios as traces (docs/use/simulator.md): the same packets and rules, for a real kernel to answer.

A trace keeps the order of what happens, not its time: a scenario put to a real kernel is to be short enough that no
timeout of a connection matters to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipvsnl import _files as files
from ipvssim.lab.run.engine import Engine
from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.run.store import check_folder
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.scenario.rules import FIRST, addresses


@dataclass(slots=True)
class Trace:
    """What one director of one run was given, and how many connections each of its servers then had opened."""

    name: str
    lines: list[dict[str, Any]]
    opened: dict[str, int]

    @property
    def text(self) -> str:
        """The file's text."""
        return "".join(json.dumps(line) + "\n" for line in self.lines)


def traces(scenario: Scenario, variant: str, seed: int = 1) -> tuple[Outcome, list[Trace]]:
    """A run, and its trace at each director. The last step of each asks for the statistics, unless a table was made anew on
    the way: what counters then begin with depends on the moment of the kernel's last estimation. KeyboardInterrupt where one
    ended the run: half a scenario is no trace of it."""
    engine = Engine(scenario, variant, seed, tracing=True)
    outcome = engine.run()
    if not outcome.complete:
        raise KeyboardInterrupt
    words = re.sub(r"[^a-z0-9]+", "-", f"{scenario.name} {variant}".lower()).strip("-")
    made = []
    for number, node in enumerate(engine.nodes):
        name = f"{words}-{seed}-{number}"
        opened: dict[str, int] = {}
        for server, label in node.servers.items():
            opened[label] = opened.get(label, 0) + server.counters.conns
        steps = list(node.steps or [])
        if not any(event.action == "reload" for event in scenario.events):
            steps.append({"do": "stats"})
        made.append(Trace(name, [_header(scenario, name), *steps], opened))
    return outcome, made


def write(scenario: Scenario, folder: Path) -> Iterator[Path]:
    """The traces of every variant with its first seed, as files."""
    check_folder(folder, [])
    for variant in scenario.variants:
        for trace in traces(scenario, variant)[1]:
            path = folder / f"{trace.name}.trace"
            files.replace(path, trace.text.encode("utf-8"))
            yield path


def _header(scenario: Scenario, name: str) -> dict[str, Any]:
    _, servers = addresses(scenario.rules.lines())
    named = [event.server for event in scenario.events]
    most = max([_number(address) for address in servers] + [FIRST + number for number in named])
    marks = {int(flows.service.split()[1]) for flows in scenario.streams if flows.service.startswith("-f")}
    header: dict[str, Any] = {
        "trace": 1, "name": name, "servers4": max(most + 1 - FIRST, 0), "servers6": min(max(most + 1 - FIRST, 0), 200),
        "sysctl": {key if "." in key else f"net.ipv4.vs.{key}": value for key, value in scenario.sysctls.items()},
    }  # fmt: skip
    return {**header, "marks": sorted(marks)} if marks else header


def _number(address: bytes) -> int:
    return int.from_bytes(address[-2:], "big")


def opened(listing: str) -> dict[str, int]:
    """Connections by server, from what ``ipvsadm -Ln --stats --exact`` shows."""
    found: dict[str, int] = {}
    for line in listing.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "->" and words[2].isdigit():
            found[words[1]] = found.get(words[1], 0) + int(words[2])
    return found
