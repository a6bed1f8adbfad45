"""The figures of a comparison: their names in words, and their means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipvssim.lab.run.measures import interval
from ipvssim.lab.run.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its name in words, its unit, and the digits behind its point."""

    words: str
    unit: str = ""
    digits: int = 3

    def shown(self, value: float, half: float = float("nan")) -> str:
        """A value with its confidence interval, as text."""
        if value != value:
            return "-"
        scale = 100 if self.unit == "%" else 1
        text = f"{value * scale:.{self.digits}f}"
        if half == half:
            text += f" ± {half * scale:.{self.digits}f}"
        return f"{text} {self.unit}".rstrip()


FIGURES = {
    "peak": Figure("connections opened, max / mean"),
    "jain": Figure("connections opened, Jain's index", digits=4),
    "peak_active": Figure("active connections, max / mean"),
    "jain_active": Figure("active connections, Jain's index", digits=4),
    "first_picks": Figure("directors whose first pick is the same server", "%", 1),
    "peak_templates": Figure("persistent clients, max / mean"),
    "refused": Figure("refused", "%", 2),
    "moved": Figure("clients moved without need", "%", 1),
    "forced": Figure("clients that had to move", "%", 1),
    "broken": Figure("connections broken", "", 0),
    "rush": Figure("largest share of new connections to the server that came", "%", 1),
    "overshoot": Figure("its active connections at most, over the others' mean"),
    "even_after": Figure("evened out after", "s", 1),
}
SHORT = {
    "peak": "opened max/mean", "jain": "Jain", "peak_active": "active max/mean", "jain_active": "Jain active",
    "first_picks": "same first pick", "peak_templates": "templates max/mean", "refused": "refused",
    "moved": "moved needlessly", "forced": "had to move", "broken": "broken", "rush": "rush", "overshoot": "overshoot",
    "even_after": "even after",
}  # fmt: skip


@dataclass(slots=True)
class Summary:
    """One variant over its seeds: figures as (mean, half of the 95 % interval), and the run that pictures show."""

    variant: str
    figures: dict[str, tuple[float, float]]
    shown: Outcome
    runs: int
    complete: bool
    skew: NDArray[np.float64]


def figure(name: str) -> Figure:
    """What a figure means; ``moved_2`` is that of the second event."""
    base, _, number = name.rpartition("_")
    if number.isdigit() and base in FIGURES:
        known = FIGURES[base]
        return Figure(f"{known.words} (event {number})", known.unit, known.digits)
    return FIGURES.get(name, Figure(name))


def short(name: str) -> str:
    """A figure's name for the head of a column."""
    base, _, number = name.rpartition("_")
    if number.isdigit() and base in SHORT:
        return f"{SHORT[base]} ({number})"
    return SHORT.get(name, name)


def summaries(outcomes: Sequence[Outcome]) -> list[Summary]:
    """Outcomes by variant, in the order in which variants first come."""
    found = []
    for variant in dict.fromkeys(one.variant for one in outcomes):
        runs = sorted((one for one in outcomes if one.variant == variant), key=lambda one: one.seed)
        names = dict.fromkeys(name for run in runs for name in run.figures)
        figures = {name: interval(run.figures.get(name, float("nan")) for run in runs) for name in names}
        found.append(
            Summary(variant, figures, runs[0], len(runs), all(run.complete for run in runs), runs[0].skew)
        )  # fmt: skip
    return found


def names(found: Sequence[Summary]) -> list[str]:
    """The figures that any of them has, in the order of :data:`FIGURES`, events after one another; without those that say
    nothing (no refusal anywhere)."""
    known = dict.fromkeys(name for one in found for name in one.figures)
    order = {name: number for number, name in enumerate(FIGURES)}

    def rank(name: str) -> tuple[int, int]:
        base, _, number = name.rpartition("_")
        return (int(number), order[base]) if number.isdigit() and base in order else (0, order.get(name, len(order)))

    telling = [
        name for name in known if name not in ("refused", "broken") or any(one.figures.get(name, (0, 0))[0] for one in found)
    ]  # fmt: skip
    return sorted(telling, key=rank)


def headline(found: Sequence[Summary]) -> str:
    """The figure that answers a scenario's question first."""
    known = names(found)
    return next((name for name in ("first_picks", "rush", "moved", "peak") if name in known), "peak")


MOST_LINES = 40


def telling(found: Sequence[Summary]) -> str:
    """What pictures of servers' load show: active connections, or with connections too short for that the new ones."""
    return "active" if any("peak_active" in one.figures for one in found) else "opened"


def lines(outcome: Outcome, column: str = "active") -> list[tuple[str, NDArray[np.float64]]]:
    """A grid as lines over time: a server each, or with many servers the spread of their loads. What counts from the
    beginning is shown as what came since the sample before."""
    grid = outcome.grids[column]
    if column in ("opened", "packets"):
        grid = np.diff(grid, axis=0, prepend=0)
    if len(outcome.servers) <= MOST_LINES:
        return [(name, grid[:, number].astype(float)) for number, name in enumerate(outcome.servers)]
    levels = (("highest", 100), ("90 %", 90), ("median", 50), ("10 %", 10), ("lowest", 0))
    return [(name, np.percentile(grid, level, axis=1)) for name, level in levels]
