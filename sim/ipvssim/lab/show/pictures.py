"""Pictures for papers: PNG and SVG by matplotlib. One of the whole comparison, one of clients and servers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from ipvsnl._files import whole
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.scenario.reader import ScenarioError
from ipvssim.lab.show.figures import MOST_LINES, Summary, figure, headline, lines, telling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
_MOST_PANELS = 6
_DPI = 90


def draw(scenario: Scenario, found: Sequence[Summary], place: Path, formats: Sequence[str]) -> list[Path]:
    """Write the pictures; ScenarioError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ScenarioError("pictures need matplotlib: pip install 'ipvsnl[lab]'") from None
    written = []
    for suffix, make in (("", _overview), ("-clients", _clients)):
        drawn = Figure(figsize=(11, 0.1), layout="constrained")
        make(drawn, scenario, found)
        for kind in formats:
            path = place / f"{scenario.name}{suffix}.{kind}"
            with whole(path) as file:
                drawn.savefig(file, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
    return written


def _overview(drawn: Figure, scenario: Scenario, found: Sequence[Summary]) -> None:
    panels = found[:_MOST_PANELS]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    has_events = any("moved" in one.figures for one in found)
    drawn.set_figheight(3.6 + 2.2 * rows)
    upper, lower = list(drawn.subfigures(2, 1, squeeze=False, height_ratios=(3.4, 2.2 * rows)).flat)
    drawn.suptitle(scenario.title or scenario.name, fontsize=13)
    top = upper.subplots(1, 3 if has_events else 2)
    first = headline(found)
    _bars(top[0], found, first if first != "moved" else "peak")
    if has_events:
        _bars(top[1], found, "moved")
    _over_time(top[-1], found)
    grid = lower.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, one in zip(grid.flat, panels, strict=False):
        _load(axes, one, telling(found))
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    what = "active" if telling(found) == "active" else "new"
    lower.supylabel(f"{what} connections of each server", fontsize=9)
    lower.supxlabel("seconds", fontsize=9)


def _bars(axes: Axes, found: Sequence[Summary], name: str) -> None:
    known = figure(name)
    scale = 100 if known.unit == "%" else 1
    values = [one.figures.get(name, (float("nan"),) * 2) for one in found]
    means = [np.nan_to_num(value[0]) * scale for value in values]
    halves = [np.nan_to_num(value[1]) * scale for value in values]
    places = list(range(len(found)))
    axes.barh(places, means, xerr=halves, color=_colours(len(found)), error_kw={"lw": 1, "capsize": 2})
    axes.set_yticks(places, [one.variant or "as it is" for one in found], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(fill(known.words + (f" ({known.unit})" if known.unit else ""), 40), fontsize=9)
    for place, mean, half in zip(places, means, halves, strict=True):
        axes.text(mean + half, place, f" {mean:.{2 if scale == 1 else 1}f}", va="center", fontsize=7)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _over_time(axes: Axes, found: Sequence[Summary]) -> None:
    for one, colour in zip(found, _colours(len(found)), strict=True):
        axes.plot(one.shown.times, one.skew, color=colour, lw=1.2, label=one.variant or "as it is")
    _mark(axes, found[0])
    axes.set_title("opened since the last event, max / mean", fontsize=9)
    axes.set_ylim(bottom=1)
    axes.set_xlabel("seconds", fontsize=8)
    axes.legend(fontsize=6, ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _load(axes: Axes, one: Summary, column: str) -> None:
    drawn = lines(one.shown, column)
    few = len(drawn) <= len(COLOURS)
    joined = {number for change in one.shown.changes for number in change.joined}
    for number, (name, values) in enumerate(drawn):
        stressed = number in joined and len(one.shown.servers) <= MOST_LINES
        colour = COLOURS[number] if few else "#d55e00" if stressed else "#0072b2"
        axes.plot(one.shown.times, values, lw=1.6 if stressed else 0.8, alpha=1 if few or stressed else 0.45, color=colour,
                  label=name)  # fmt: skip
    _mark(axes, one)
    axes.set_title(one.variant or "as it is", fontsize=9)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _mark(axes: Axes, one: Summary) -> None:
    for change in one.shown.changes:
        axes.axvline(change.at, color="#888888", lw=0.8, ls=":")


def _clients(drawn: Figure, scenario: Scenario, found: Sequence[Summary]) -> None:
    panels = found[:_MOST_PANELS]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    drawn.set_figheight(0.8 + 3.0 * rows)
    drawn.suptitle(f"{scenario.title or scenario.name}: connections of the busiest clients, by server", fontsize=12)
    grid = drawn.subplots(rows, columns, squeeze=False)
    for axes, one in zip(grid.flat, panels, strict=False):
        heat = one.shown.heat
        if heat.size:
            axes.imshow(np.log10(heat + 1), aspect="auto", cmap="viridis", interpolation="nearest")
        axes.set_title(one.variant or "as it is", fontsize=9)
        axes.set_xlabel("server", fontsize=8)
        axes.set_ylabel("client, busiest first", fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]
