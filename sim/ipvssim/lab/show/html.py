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
from ipvssim.lab.show.figures import Summary, figure, headline, lines, names, telling

_MOST_POINTS = 200
_NEWLINE = "\n"


def page(scenario: Scenario, found: Sequence[Summary]) -> str:
    """The whole page."""
    folder = resources.files("ipvssim.lab.show") / "report"
    template = (folder / "report.html").read_text(encoding="utf-8")
    data = json.dumps(_data(found), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "TITLE": escape(scenario.title or scenario.name),
        "QUESTION": escape(scenario.question),
        "SIZE": escape(_size(found)),
        "TABLE": _table(found),
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


def _table(found: Sequence[Summary]) -> str:
    known = names(found)
    head = "".join(f"<th>{escape(figure(name).words)}</th>" for name in known)
    rows = "".join(
        f"<tr><th>{escape(one.variant or 'as it is')}</th>"
        + "".join(f"<td>{figure(name).shown(*one.figures.get(name, (float('nan'),) * 2))}</td>" for name in known)
        + "</tr>"
        for one in found
    )
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _data(found: Sequence[Summary]) -> dict[str, Any]:
    known = names(found)
    meta = {}
    for name in known:
        each = figure(name)
        meta[name] = {"words": each.words, "unit": each.unit, "digits": each.digits}
    return {
        "first": headline(found),
        "column": "loads" if telling(found) == "active" else "rates",
        "figures": meta,
        "variants": [_variant(one, known) for one in found],
    }


def _variant(one: Summary, known: Sequence[str]) -> dict[str, Any]:
    shown = one.shown
    step = max(-(-len(shown.times) // _MOST_POINTS), 1)
    return {
        "name": one.variant or "as it is",
        "times": _numbers(shown.times[::step]),
        "skew": _numbers(one.skew[::step]),
        "loads": _lines(shown, "active", step),
        "rates": _lines(shown, "opened", step),
        "events": [{"at": round(change.at, 3), "label": change.label} for change in shown.changes],
        "servers": shown.servers,
        "clients": shown.heat_clients,
        "heat": shown.heat.tolist(),
        "figures": {name: [_number(value) for value in one.figures[name]] for name in known if name in one.figures},
    }


def _lines(shown: Outcome, column: str, step: int) -> list[dict[str, Any]]:
    return [{"name": name, "values": _numbers(values[::step])} for name, values in lines(shown, column)]


def _numbers(values: NDArray[np.float64]) -> list[float | int | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | int | None:
    if value != value:
        return None
    rounded = float(f"{value:.5g}") if abs(value) < 1e5 else round(value)
    return int(rounded) if rounded == int(rounded) else rounded
