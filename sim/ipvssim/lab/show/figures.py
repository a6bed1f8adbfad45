"""The figures of a comparison: their names in words, and their means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ipvssim.lab.run.measures import interval
from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.scenario.definition import Scenario

FEW_SEEDS = 5
"""With fewer than these, pictures show each seed's value: an interval of so few says more about itself than about them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its name in words and for the head of a column, its unit, the digits behind its point, what it can be."""

    words: str
    short: str
    unit: str = ""
    digits: int = 3
    least: float = 0.0
    most: float = float("inf")

    @property
    def scale(self) -> int:
        """What a value is multiplied by to be in its unit."""
        return 100 if self.unit == "%" else 1

    def shown(self, value: float, half: float = float("nan")) -> str:
        """A value with its confidence interval, as text."""
        if value != value:
            return "-"
        text = f"{value * self.scale:.{self.digits}f}"
        if half == half:
            text += f" ± {half * self.scale:.{self.digits}f}"
        return f"{text} {self.unit}".rstrip()

    def reach(self, value: float, half: float) -> tuple[float, float]:
        """The ends of an interval, as far as the figure can reach: no share is below 0 or above 1."""
        known = half if half == half else 0.0
        return max(value - known, min(self.least, value)), min(value + known, max(self.most, value))


FIGURES = {
    "peak": Figure("connections opened, max / mean", "opened max/mean", least=1),
    "jain": Figure("connections opened, Jain's index", "Jain", digits=4, most=1),
    "peak_active": Figure("active connections, max / mean", "active max/mean", least=1),
    "jain_active": Figure("active connections, Jain's index", "Jain active", digits=4, most=1),
    "first_picks": Figure("directors whose first pick is the same server", "same first pick", "%", 1, most=1),
    "peak_templates": Figure("persistent clients, max / mean", "templates max/mean", least=1),
    "peak_requests": Figure("requests of keep-alive pools, max / mean", "requests max/mean", least=1),
    "waited": Figure("mean wait for a server, whole run", "waited", "s", 3),
    "refused": Figure("connections refused, whole run", "refused in all", "%", 2, most=1),
    "dead": Figure("connections sent to a dead server, whole run", "to dead in all", "", 0),
    "moved": Figure("clients moved without need", "moved needlessly", "%", 1, most=1),
    "refused_after": Figure("connections refused after it", "refused after", "%", 2, most=1),
    "dead_after": Figure("connections sent to a dead server after it", "to dead after", "%", 2, most=1),
    "forced": Figure("clients that had to move", "had to move", "%", 1, most=1),
    "broken": Figure("connections broken", "broken", "", 0),
    "rush": Figure("largest share of new connections to the server that came", "rush", "%", 1, most=1),
    "overshoot": Figure("its active connections at most, over the others' mean", "overshoot"),
    "even_after": Figure("evened out after", "even after", "s", 1),
}
DISRUPTION = ("moved", "refused_after", "dead_after", "forced", "broken")
"""What an event does to clients: shown beside one another, since each alone makes some scheduler look good."""


@dataclass(slots=True)
class Summary:
    """One variant over its seeds: figures as (mean, half of the 95 % interval) and as each seed's value, and the run that
    pictures show."""

    variant: str
    figures: dict[str, tuple[float, float]]
    values: dict[str, list[float]]
    shown: Outcome
    runs: int
    complete: bool
    skew: NDArray[np.float64]

    @property
    def name(self) -> str:
        """What it is called in tables and pictures."""
        return self.variant or "as it is"


def split_name(name: str) -> tuple[str, int]:
    """A figure's own name and the number of its event, from 1 on (0: it is of the whole run, until the first event)."""
    base, _, number = name.rpartition("_")
    if number.isdigit() and base in FIGURES:
        return base, int(number)
    first = name in DISRUPTION or name in ("rush", "overshoot", "even_after")
    return name, int(first)


def figure(name: str) -> Figure:
    """What a figure means; ``moved_2`` is that of the second event."""
    base, number = split_name(name)
    known = FIGURES.get(base, Figure(name, name))
    if base == name:
        return known
    return replace(known, words=f"{known.words} (event {number})", short=f"{known.short} ({number})")


def summaries(outcomes: Sequence[Outcome]) -> list[Summary]:
    """Outcomes by variant, in the order in which variants first come."""
    found = []
    for variant in dict.fromkeys(one.variant for one in outcomes):
        runs = sorted((one for one in outcomes if one.variant == variant), key=lambda one: one.seed)
        names = dict.fromkeys(name for run in runs for name in run.figures)
        values = {name: [run.figures.get(name, float("nan")) for run in runs] for name in names}
        figures = {name: interval(each) for name, each in values.items()}
        whole = all(run.complete for run in runs)
        found.append(Summary(variant, figures, values, runs[0], len(runs), whole, runs[0].skew))
    return found


def names(found: Sequence[Summary]) -> list[str]:
    """The figures that any of them has, in the order of :data:`FIGURES`, events after one another. What was refused in the
    whole run is left out where nothing was; what was refused after an event never is."""
    known = dict.fromkeys(name for one in found for name in one.figures)
    order = {name: number for number, name in enumerate(FIGURES)}

    def rank(name: str) -> tuple[int, int]:
        base, number = split_name(name)
        return number, order.get(base, len(order))

    telling = [name for name in known if name != "refused" or any(one.figures.get(name, (0, 0))[0] for one in found)]
    return sorted(telling, key=rank)


def groups(found: Sequence[Summary]) -> list[tuple[str, list[str]]]:
    """The figures, those of the run's calm part first, then those of each event under its label."""
    changes = max((one.shown.changes for one in found), key=len)
    parts: dict[int, list[str]] = {}
    for name in names(found):
        parts.setdefault(split_name(name)[1], []).append(name)
    labels = ["the whole run" if not changes else "until the first event", *(change.label for change in changes)]
    return [(labels[number] if number < len(labels) else f"event {number}", each) for number, each in parts.items()]


def headline(found: Sequence[Summary]) -> str:
    """The figure that answers a scenario's question first."""
    known = names(found)
    return next((name for name in ("first_picks", "rush", "moved", "peak") if name in known), "peak")


def title(scenario: Scenario, found: Sequence[Summary]) -> str:
    """The scenario's title; it says so where runs are missing or broke off."""
    words = scenario.title or scenario.name
    wanted = len(scenario.variants) * scenario.seeds
    runs = sum(one.runs for one in found)
    if runs >= wanted and all(one.complete for one in found):
        return words
    return f"{words} (interrupted: {runs} of {wanted} runs, as far as they came)"


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
