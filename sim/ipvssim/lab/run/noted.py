"""What a run, or some directors' part of one, has noted when its time is over; and the outcome that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ipvssim.clock import SECOND
from ipvssim.lab.run import measures, requests
from ipvssim.lab.run.loop import LOST, NOWHERE, REFUSED, UNANSWERED
from ipvssim.lab.run.outcome import Change, Grid, Outcome
from ipvssim.lab.run.traffic import Traffic
from ipvssim.lab.scenario.definition import Scenario

_SAME_EVERYWHERE = "weight"
"""The one column of a sample that counts nothing: each part of a run has it of all directors."""


@dataclass(slots=True)
class Noted:
    """Servers by number, samples, changes; where connections went (:class:`ipvssim.lab.run.loop.Places`)."""

    names: list[str]
    times: NDArray[np.float64]
    grids: dict[str, Grid]
    changes: list[Change]
    placed: NDArray[np.int32]
    fresh: NDArray[np.uint8]
    gone: NDArray[np.uint8]
    again: dict[int, int]
    reused: int
    reopened: int
    waits: Sequence[int]
    complete: bool

    def of(self, flows: NDArray[np.bool_]) -> Noted:
        """The same, with no connections but these, to be sent to another process."""
        return replace(self, placed=self.placed[flows], fresh=self.fresh[flows], gone=self.gone[flows])


def joined(parts: Sequence[Noted], flows: Sequence[NDArray[np.bool_]]) -> Noted:
    """The parts of one run as the whole. Each has its own connections, which ``flows`` tells, and knows all servers."""
    first, count = parts[0], len(flows[0])
    whole = replace(
        first, placed=np.full(count, NOWHERE, np.int32), fresh=np.zeros(count, np.uint8), gone=np.zeros(count, np.uint8),
        grids={name: first.grids[name] if name == _SAME_EVERYWHERE else _sum([one.grids[name] for one in parts])
               for name in first.grids},
        changes=[replace(change, broken=sum(one.changes[number].broken for one in parts))
                 for number, change in enumerate(first.changes)],
        again={flow: server for one in parts for flow, server in one.again.items()},
        reused=sum(one.reused for one in parts), reopened=sum(one.reopened for one in parts),
        complete=all(one.complete for one in parts),
    )  # fmt: skip
    for one, mine in zip(parts, flows, strict=True):
        whole.placed[mine], whole.fresh[mine], whole.gone[mine] = one.placed, one.fresh, one.gone
    return whole


def _sum(grids: Sequence[Grid]) -> Grid:
    found = grids[0].copy()
    for grid in grids[1:]:
        found += grid
    return found


def outcome(
    scenario: Scenario, variant: str, seed: int, traffic: Traffic, route: Sequence[int], noted: Noted
) -> Outcome:  # fmt: skip
    """What a run yields. ``route`` has the director of each connection."""
    names, placed, gone = noted.names, noted.placed.astype(np.int64), noted.gone
    heat, clients = measures.heat(traffic, placed, len(names), scenario.heat)
    refused = int((gone == REFUSED).sum())
    opened = noted.grids["opened"]
    counts = {
        "offered": int((placed != NOWHERE).sum()) + refused,
        "opened": int(opened[-1].sum()) if len(opened) else 0,
        "refused": refused,
        "reused": noted.reused,
        "reopened": noted.reopened,
    }
    if any(event.action == "fail" for event in scenario.events):
        counts["dead"] = int(np.isin(gone, (UNANSWERED, LOST)).sum())
    made = Outcome(
        variant, seed, names, noted.times, noted.grids, noted.changes, heat, clients, counts, noted.complete
    )  # fmt: skip
    ends = np.where(noted.fresh > 0, placed, NOWHERE)
    ends[gone == REFUSED] = measures.REFUSED
    if noted.waits:
        made.figures["waited"] = float(np.mean(noted.waits)) / SECOND
    requests.judge(made, traffic, placed, noted.again, gone)
    measures.judge(made, traffic, ends, route, gone == UNANSWERED)
    return made
