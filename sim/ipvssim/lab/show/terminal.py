"""The comparison on a terminal: a table, sparklines, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ipvssim.lab.run.outcome import Told
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.show.figures import DISRUPTION, Summary, figure, names, split_name, title

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 24
_FRAME, _LEAST = 3, 2
"""What a column's frame takes, and how many figures go before the drawing."""
_FIRST = (
    "first_picks",
    "moved",
    "rush",
    "even_after",
    "broken",
    "peak",
    "peak_active",
    "peak_templates",
    "overshoot",
    "jain",
)


def sparkline(values: NDArray[np.float64], width: int = _WIDTH, low: float = 0.0, high: float | None = None) -> str:
    """Values as a row of blocks, each the mean of a part of them, between ``low`` and ``high`` (default: their greatest)."""
    parts = [
        part[~np.isnan(part)] for part in np.array_split(np.asarray(values, float), min(width, max(len(values), 1)))
    ]
    means = [float(part.mean()) if len(part) else float("nan") for part in parts]
    known = [mean for mean in means if mean == mean]
    top = high if high is not None else max(known, default=low)
    reach = (top - low) or 1.0

    def block(mean: float) -> str:
        if mean != mean:
            return " "
        return _BLOCKS[min(max(int((mean - low) / reach * len(_BLOCKS)), 0), len(_BLOCKS) - 1)]

    return "".join(map(block, means))


def show(console: Console, scenario: Scenario, found: Sequence[Summary]) -> None:
    """The table: a row a variant, its figures, and how uneven it was over time."""
    table = Table(title=Text(title(scenario, found)), caption=Text(scenario.question) if scenario.question else None)
    table.add_column("scheduler", no_wrap=True)
    known = _fitting(found, console.width)
    # figures that belong together go before the drawing
    drawn = _width(found, known) + _WIDTH + _FRAME <= console.width
    for name in known:
        table.add_column(Text(figure(name).short), justify="right", no_wrap=True)
    if drawn:
        table.add_column("max/mean over time", no_wrap=True)
    highest = max((float(np.nanmax(one.skew)) for one in found if np.isfinite(one.skew).any()), default=1.0)
    columns = [_cells(found, name) for name in known]
    for one, *cells in zip(found, *columns, strict=True):
        table.add_row(Text(one.name), *cells, *([sparkline(one.skew, low=1.0, high=highest)] if drawn else []))
    console.print(table)


def _fitting(found: Sequence[Summary], width: int) -> list[str]:
    """The figures for which there is room, the most telling first; none of what an event did without who was
    not served."""
    known = names(found)
    order: list[str] = []
    for name in [*(name for name in _FIRST if name in known), *known]:
        order += [one for one in (name, *_beside(name)) if one in known and one not in order]
    beside = [size for size in range(1, len(order) + 1) if _width(found, order[:size]) + _WIDTH + _FRAME <= width]
    alone = [size for size in range(1, _LEAST + 1) if _width(found, order[:size]) <= width]
    fitting = order[: max([1, *beside, *alone])]
    return fitting + [one for one in _beside(fitting[-1]) if one in known and one not in fitting]


def _cells(found: Sequence[Summary], name: str) -> list[str]:
    """A figure's column, as text."""
    return [figure(name).shown(*one.figures.get(name, (float("nan"),) * 2)) for one in found]


def _width(found: Sequence[Summary], figures: Sequence[str]) -> int:
    """How wide the table is with these figures."""
    names = max(map(len, ("scheduler", *(one.name for one in found))))
    columns = [max(map(len, (figure(name).short, *_cells(found, name)))) for name in figures]
    return names + sum(columns) + _FRAME * (1 + len(columns)) + 1


def _beside(name: str) -> list[str]:
    """The figures of whom the same event left unserved, for one that says what the event did."""
    base, _ = split_name(name)
    return [name.replace(base, one, 1) for one in ("refused_after", "dead_after")] if base in DISRUPTION else []


@contextmanager
def progress(console: Console, what: str) -> Iterator[Told]:
    """A bar with an estimate of what is left, for :func:`ipvssim.lab.compare` and :func:`ipvssim.lab.sweep` to tell."""
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left:"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def told(done: float, total: int) -> None:
            bar.update(task, completed=round(done, 2), total=total)

        yield told
