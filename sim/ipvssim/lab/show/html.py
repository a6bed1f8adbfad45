"""The report as one HTML file that needs nothing else: its data, its style and its charts' code are in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipvssim.lab.run.outcome import Outcome
from ipvssim.lab.scenario.definition import Scenario
from ipvssim.lab.show.figures import (
    FEW_SEEDS,
    Summary,
    figure,
    groups,
    headline,
    lines,
    names,
    telling,
    title,
)  # fmt: skip

_MOST_POINTS = 200
_NEWLINE = "\n"


def page(scenario: Scenario, found: Sequence[Summary]) -> str:
    """The whole page."""
    folder = resources.files("ipvssim.lab.show") / "report"
    template = (folder / "report.html").read_text(encoding="utf-8")
    data = json.dumps(_data(found), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "TITLE": escape(title(scenario, found)),
        "QUESTION": escape(scenario.question),
        "SIZE": escape(_size(found)),
        "TABLES": _tables(found),
        "RULES": escape(_NEWLINE.join(scenario.rules.lines()[:200])),
        "STYLE": (folder / "report.css").read_text(encoding="utf-8"),
        "CODE": (folder / "report.js").read_text(encoding="utf-8"),
        "DATA": data,
    }
    for name, text in parts.items():
        template = template.replace(f"<!--{name}-->", text)
    return template


def _size(found: Sequence[Summary]) -> str:
    one = found[0]
    counts = one.shown.counts
    partial = "" if all(each.complete for each in found) else "; interrupted, shown as far as it came"
    runs = sum(each.runs for each in found)
    return (
        f"{counts['offered'] or counts['opened']:,} connections a run, {len(one.shown.servers)} servers, "
        f"{len(found)} ways of scheduling, {runs} runs{partial}"
    )


def _tables(found: Sequence[Summary]) -> str:
    """A table of the calm part of the run, and one of each event: none is wider than a page."""
    return "".join(f"<h3>{escape(label)}</h3>{_table(found, known)}" for label, known in groups(found))


def _table(found: Sequence[Summary], known: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(figure(name).words)}</th>" for name in known)
    rows = "".join(
        f"<tr><th>{escape(one.name)}</th>" + "".join(f"<td>{_cell(one, name)}</td>" for name in known) + "</tr>"
        for one in found
    )
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(one: Summary, name: str) -> str:
    """A figure that breaks into two lines before its interval, and nowhere else."""
    return (
        figure(name).shown(*one.figures.get(name, (float("nan"),) * 2)).replace(" ", "\u00a0").replace("\u00a0±", " ±")
    )


def _data(found: Sequence[Summary]) -> dict[str, Any]:
    known = names(found)
    meta = {}
    for name in known:
        each = figure(name)
        meta[name] = {"words": each.words, "unit": each.unit, "digits": each.digits, "least": each.least}
    return {
        "first": headline(found),
        "column": "loads" if telling(found) == "active" else "rates",
        "figures": meta,
        "groups": [{"label": label, "figures": each} for label, each in groups(found)],
        "variants": [_variant(one, known) for one in found],
    }


def _variant(one: Summary, known: Sequence[str]) -> dict[str, Any]:
    shown = one.shown
    step = max(-(-len(shown.times) // _MOST_POINTS), 1)
    return {
        "name": one.name,
        "times": _numbers(shown.times[::step]),
        "skew": _numbers(one.skew[::step]),
        "loads": _lines(shown, "active", step),
        "rates": _lines(shown, "opened", step),
        "events": [{"at": round(change.at, 3), "label": change.label} for change in shown.changes],
        "came": sorted({number for change in shown.changes for number in change.joined}),
        "servers": shown.servers,
        "clients": shown.heat_clients,
        "heat": shown.heat.tolist(),
        "figures": {name: _drawn(one, name) for name in known if name in one.figures},
    }


def _drawn(one: Summary, name: str) -> dict[str, Any]:
    """A figure's mean, and what is drawn about it: an interval within what is possible, or each seed of few."""
    mean, half = one.figures[name]
    values = [value for value in one.values[name] if value == value]
    few = len(values) < FEW_SEEDS
    return {
        "mean": _number(mean), "text": figure(name).shown(mean, half),
        "seeds": [_number(value) for value in values] if few else [],
        "ends": [] if few else [_number(end) for end in figure(name).reach(mean, half)],
    }  # fmt: skip


def _lines(shown: Outcome, column: str, step: int) -> list[dict[str, Any]]:
    return [{"name": name, "values": _numbers(values[::step])} for name, values in lines(shown, column)]


def _numbers(values: NDArray[np.float64]) -> list[float | int | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | int | None:
    if value != value:
        return None
    rounded = float(f"{value:.5g}") if abs(value) < 1e5 else round(value)
    return int(rounded) if rounded == int(rounded) else rounded
