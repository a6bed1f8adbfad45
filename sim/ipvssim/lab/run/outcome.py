"""What a run yields: per server and over time, with what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ipvssim.lab.run.loop import COLUMNS

Grid = NDArray[np.int64]
"""Samples by servers."""
Sample = Grid | Sequence[Sequence[int]]
"""Of each of :data:`COLUMNS` a row with the servers known by then."""
Told = Callable[[float, int], object]
"""Told how many runs are done (with fractions where runs are done in this process), and how many there are."""


@dataclass(slots=True)
class Change:
    """An event as it happened: when, which servers can be used after it and which came with it (by number), and the
    connections that were active on servers that are gone since: a server of weight 0 is not, and serves what it has."""

    label: str
    at: float
    usable: set[int]
    joined: set[int]
    broken: int
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """One run: one variant, one seed."""

    variant: str
    seed: int
    servers: list[str]
    times: NDArray[np.float64]
    grids: dict[str, Grid]
    """By name (:data:`COLUMNS`): opened and packets count from the beginning, the others are as they stand."""
    changes: list[Change]
    heat: Grid
    """Connections by client (the busiest first) and server."""
    heat_clients: list[str]
    counts: dict[str, int]
    """Connections offered, opened, refused, reused (a port that was still known), reopened (placed anew in mid-life);
    where servers fail: dead (sent to one that was)."""
    complete: bool
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def skew(self) -> NDArray[np.float64]:
        """Over time: connections opened since the last event by weight, the most of any server over the mean."""
        opened, weight = self.grids["opened"], self.grids["weight"]
        base = np.zeros_like(opened)
        for change in self.changes:
            base[self.times >= change.at] = opened[np.searchsorted(self.times, change.at)]
        loads = np.where(weight > 0, (opened - base) / np.maximum(weight, 1), np.nan)
        totals = np.nansum(loads, 1)
        usable = np.maximum((weight > 0).sum(1), 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            most = np.max(np.nan_to_num(loads, nan=0.0), 1, initial=0.0)
            return np.where(totals > 0, most * usable / totals, np.nan)


def grids(samples: Sequence[Sample], servers: int) -> dict[str, Grid]:
    """Samples, each a row of every column with the servers known by then, as one grid a column."""
    made = np.zeros((len(COLUMNS), len(samples), servers), np.int64)
    for number, sample in enumerate(samples):
        for column, row in enumerate(sample):
            made[column, number, : len(row)] = row
    return dict(zip(COLUMNS, made, strict=True))
