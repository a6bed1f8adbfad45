"""Pictures for papers: PNG and SVG by matplotlib. One of the whole comparison, one of clients and servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ipvsnl import _files as files
from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.scenario.reader import ScenarioError
from ipvssim.lab.show.figures import (
    DISRUPTION,
    FEW_SEEDS,
    MOST_LINES,
    Summary,
    figure,
    headline,
    lines,
    names,
    telling,
    title,
)  # fmt: skip
from ipvssim.lab.show.figures import Figure as Known

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
INK, SOFT, MARK = "#1c2430", "#9aa3ad", "#d55e00"
_SHADES = ("#c6dbef", "#6baed6", "#08306b")
_MOST_PANELS = 16
_ACROSS = 4
_DPI = 90
_LEAST_EXCESS = 0.01
_EXCESSES = ((0.01, "1.01 or less"), (0.1, "1.1"), (1, "2"), (10, "11"), (100, "101"))
_MOST_NAMES = 12
_ALIKE = 5
"""Panels have one scale while the largest load of any is at most so many times that of the least loaded one."""


def draw(scenario: Scenario, found: Sequence[Summary], place: Path, formats: Sequence[str]) -> list[Path]:
    """Write the pictures, each whole; ScenarioError where matplotlib is not installed."""
    new = maker()
    written = []
    for suffix, make in (("", _overview), ("-clients", _clients)):
        drawn = new(figsize=(11, 1), layout="constrained")
        make(drawn, scenario, found)
        for kind in formats:
            path = place / f"{scenario.name}{suffix}.{kind}"
            data = BytesIO()
            drawn.savefig(data, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)
            files.replace(path, data.getvalue())
            written.append(path)
    return written


def maker() -> Callable[..., Figure]:
    """What makes a figure; ScenarioError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ScenarioError("pictures need matplotlib: pip install 'ipvsnl[lab]'") from None
    return Figure


# --- the comparison ---


def _overview(drawn: Figure, scenario: Scenario, found: Sequence[Summary]) -> None:
    panels = found[:_MOST_PANELS]
    rows = -(-len(panels) // _ACROSS)
    columns = -(-len(panels) // rows)
    told = _told(found)
    top, height = 0.9 + 0.2 * len(found), 1.5
    heights = (top, height * rows + 0.5, height * rows + 0.5)
    drawn.set_figheight(0.5 + sum(heights))
    parts = list(drawn.subfigures(3, 1, squeeze=False, height_ratios=heights).flat)
    drawn.suptitle(_plain(title(scenario, found)), fontsize=13)
    for number, (axes, name) in enumerate(zip(parts[0].subplots(1, len(told), squeeze=False).flat, told, strict=True)):
        _dots(axes, found, name, named=number == 0)
    _small_multiples(parts[1], panels, columns, lambda axes, one: _over_time(axes, one, panels))
    since = "since the last event, " if any(one.shown.changes for one in found) else ""
    parts[1].supylabel("max / mean, logarithmic", fontsize=8)
    what = f"unevenness: connections opened {since}by weight, the most of any server over the mean"
    parts[1].supxlabel(f"{what}; in grey the other ways", fontsize=8)
    tops = [max((float(values.max()) for _, values in lines(one.shown, telling(found))), default=0) for one in panels]
    alike = max(tops) <= _ALIKE * max(min(tops), 1)
    _small_multiples(parts[2], panels, columns, lambda axes, one: _load(axes, one, telling(found)), alike=alike)
    what = "active" if telling(found) == "active" else "new"
    parts[2].supylabel(f"{what} connections", fontsize=8)
    left = f"; {len(found) - len(panels)} more ways of scheduling are not drawn" if len(found) > len(panels) else ""
    scales = "" if alike else "; each panel has its own scale"
    parts[2].supxlabel(_legend(panels[0], what) + scales + left, fontsize=8)


def _told(found: Sequence[Summary]) -> list[str]:
    """The figures that have a panel: what answers the question, and all that the first event did."""
    known = names(found)
    first = headline(found)
    wanted = [first if first not in DISRUPTION else "peak", *DISRUPTION]
    if "dead_after" in known and first in DISRUPTION:
        wanted = list(DISRUPTION)
    if not any("moved" in one.figures for one in found):
        wanted += ["jain", "peak_active", "peak_templates", "refused"]
    elif first == "rush":
        wanted = ["rush", "even_after", "moved", "refused_after", "dead_after"]
    return [name for name in dict.fromkeys(wanted) if name in known][:5]


def _small_multiples(
    part: Any, panels: Sequence[Summary], columns: int, make: Callable[[Axes, Summary], None], *, alike: bool = True
) -> None:  # fmt: skip
    grid = part.subplots(-(-len(panels) // columns), columns, squeeze=False, sharex=True, sharey=alike)
    for axes, one in zip(grid.flat, panels, strict=False):
        make(axes, one)
        axes.set_title(_plain(one.name), fontsize=9, loc="left", color=INK)
        axes.tick_params(labelsize=7, color=SOFT, labelcolor=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(SOFT)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()


def _dots(axes: Axes, found: Sequence[Summary], name: str, *, named: bool) -> None:
    """A figure of each variant: its mean as a dot with its number beside it; its seeds as points, or an interval of many."""
    known = figure(name)
    for place, one in enumerate(found):
        mean, half = one.figures.get(name, (float("nan"),) * 2)
        if mean != mean:
            axes.text(0, place, "  never" if name.startswith("even_after") else "  -", va="center", fontsize=7, color=SOFT,
                      transform=axes.get_yaxis_transform())  # fmt: skip
            continue
        ends = known.reach(mean, half)
        values = [value * known.scale for value in one.values[name] if value == value]
        if len(values) < FEW_SEEDS:
            axes.plot(values, [place] * len(values), "|", color=INK, ms=7, mew=0.8)
            ends = (min(values) / known.scale, max(values) / known.scale)
        else:
            axes.plot([end * known.scale for end in ends], [place] * 2, color=INK, lw=1)
        axes.plot([mean * known.scale], [place], "o", color=INK, ms=4)
        words = f"{mean * known.scale:.{known.digits}f}"
        axes.annotate(
            words, (ends[1] * known.scale, place), (5, 0), textcoords="offset points", va="center", fontsize=7
        )
    axes.set_yticks(range(len(found)), [_plain(one.name) for one in found] if named else [""] * len(found), fontsize=8)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_title(fill(known.words + (f" ({known.unit})" if known.unit else ""), 24), fontsize=9, loc="left")
    _range(axes, known)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7, color=SOFT)
    axes.grid(axis="y", color=SOFT, lw=0.3, ls=":")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)


def _range(axes: Axes, known: Known) -> None:
    """From the least that the figure can be, with room for the numbers, and no tick at what it can't be."""
    from matplotlib.ticker import MaxNLocator

    high = axes.get_xlim()[1]
    least, most = known.least * known.scale, known.most * known.scale
    high = high if high - least > 0.1 ** (known.digits + 1) else least + 1
    ticks = MaxNLocator(4, integer=not known.digits).tick_values(least, high)
    axes.set_xticks([tick for tick in ticks if least <= tick <= min(most, high)])
    axes.set_xlim(least - 0.03 * (high - least), high + 0.35 * (high - least))


def _over_time(axes: Axes, one: Summary, others: Sequence[Summary]) -> None:
    for other in (*others, one):
        excess = np.maximum(other.skew - 1, _LEAST_EXCESS)
        axes.plot(other.shown.times, excess, color=INK if other is one else SOFT, lw=1.4 if other is one else 0.5,
                  alpha=1 if other is one else 0.5)  # fmt: skip
    _mark(axes, one)
    axes.set_yscale("log")
    known = [np.nanmax(other.skew) for other in others if np.isfinite(other.skew).any()]
    top = max([*known, 2.0]) - 1
    axes.set_yticks([at for at, _ in _EXCESSES if at <= top], [words for at, words in _EXCESSES if at <= top])
    axes.minorticks_off()
    axes.set_ylim(_LEAST_EXCESS * 0.9, top * 1.1)


def _load(axes: Axes, one: Summary, column: str) -> None:
    drawn = lines(one.shown, column)
    each = len(one.shown.servers) <= MOST_LINES
    joined = {number for change in one.shown.changes for number in change.joined}
    for number, (name, values) in enumerate(drawn):
        stressed = number in joined and each
        few = len(drawn) <= len(COLOURS)
        colour = MARK if stressed else COLOURS[number] if few and not joined else INK
        axes.plot(one.shown.times, values, lw=1.8 if stressed else 0.8, alpha=1 if few or stressed else 0.35, color=colour,
                  label=name)  # fmt: skip
    _mark(axes, one)


def _legend(one: Summary, what: str) -> str:
    """What the lines are, in words."""
    if len(one.shown.servers) > MOST_LINES:
        return (
            f"seconds; {what} connections: highest, 90 %, median, 10 % and lowest of {len(one.shown.servers)} servers"
        )
    came = [one.shown.servers[number] for change in one.shown.changes for number in sorted(change.joined)]
    known = [f"orange: {came[0]}, which came" if len(came) == 1 else "orange: servers that came"] if came else []
    marks = ["dotted: events"] if one.shown.changes else []
    return "; ".join(["seconds; a line is a server", *known, *marks])


def _mark(axes: Axes, one: Summary) -> None:
    for change in one.shown.changes:
        axes.axvline(change.at, color="#888888", lw=0.8, ls=":")


# --- clients and servers ---


def _clients(drawn: Figure, scenario: Scenario, found: Sequence[Summary]) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    panels = found[:_MOST_PANELS]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    drawn.set_figheight(1.2 + 3.2 * rows)
    drawn.suptitle(f"{_plain(title(scenario, found))}: connections of the busiest clients, by server", fontsize=12)
    grid = drawn.subplots(rows, columns, squeeze=False)
    most = max([int(one.shown.heat.max()) for one in panels if one.shown.heat.size] + [2])
    shades = LinearSegmentedColormap.from_list("shades", _SHADES)
    image = None
    for axes, one in zip(grid.flat, panels, strict=False):
        heat = one.shown.heat
        if heat.size:
            counts = np.ma.masked_less(heat, 1)
            image = axes.imshow(counts, aspect="auto", cmap=shades, norm=LogNorm(1, most), interpolation="nearest")
        _addresses(axes, one.shown)
        axes.set_title(_plain(one.name), fontsize=9, loc="left")
        axes.tick_params(labelsize=6)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    if image is not None:
        bar = drawn.colorbar(image, ax=grid, label="connections (white: none)", fraction=0.02, aspect=40)
        ticks = [at for power in range(9) for at in (10**power, 2 * 10**power, 5 * 10**power) if at <= most]
        bar.set_ticks(ticks, labels=[f"{at:,}" for at in ticks])
        bar.minorticks_off()
        bar.ax.tick_params(labelsize=7)


def _addresses(axes: Axes, shown: Outcome) -> None:
    every = max(-(-len(shown.servers) // _MOST_NAMES), 1)
    places = range(0, len(shown.servers), every)
    axes.set_xticks(places, [shown.servers[at].rpartition(":")[0] for at in places], rotation=90)
    every = max(-(-len(shown.heat_clients) // _MOST_NAMES), 1)
    places = range(0, len(shown.heat_clients), every)
    axes.set_yticks(places, [shown.heat_clients[at] for at in places])


def _plain(words: str) -> str:
    """A text that matplotlib takes for no formula."""
    return words.replace("$", r"\$")
