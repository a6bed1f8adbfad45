"""docs/inside/performance.md and its picture, out of what the benchmarks wrote: nothing in them is typed in.

    python bench/kernel_bench.py && python -m pytest bench/test_bulk.py --benchmark-only \
        --benchmark-json build/bench/host.json && python bench/report.py
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from math import log10
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUILD, DOCS = ROOT / "build" / "bench", ROOT / "docs" / "inside"

LIMITS = {
    "ipvsadm -R": "a socket, a family look-up and a wait for each rule: 16 system calls",
    "keepalived": "a request and a wait for each rule; its own start is included, up to the last rule in /proc",
    "pyroute2": "about half a millisecond of Python to build one message; measured on fewer rules, in proportion",
    "gnlpy": "Python for each attribute, a request and a wait for each rule; measured on fewer rules, in proportion",
    "one by one": "C and nothing but the two system calls a rule",
}


class Figures:
    """Seconds by name."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self.seconds = seconds

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def shown(self, name: str) -> str:
        """Median and spread in milliseconds."""
        if name not in self.seconds:
            return "not measured"
        runs = [1000 * one for one in self.seconds[name]]
        return f"{statistics.median(runs):.1f} ({min(runs):.1f} to {max(runs):.1f}, {len(runs)} runs)"

    def ratio(self, one: str, other: str) -> str:
        """How many times ``other`` one takes, of medians, and of the fastest runs (which a busy machine disturbs least)."""
        if one not in self.seconds or other not in self.seconds:
            return "not measured"
        fastest = min(self.seconds[one]) / min(self.seconds[other])
        return f"{self.median(one) / self.median(other):.2f} ({fastest:.2f})"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def loads(figures: Figures) -> str:
    rows = []
    for name in figures.seconds:
        if name.endswith(" 10k") and name != "floor 10k":
            limit = next((words for peer, words in LIMITS.items() if name.startswith(peer)), "")
            rows.append((name, figures.shown(name), figures.ratio(name, "floor 10k"), limit))
    return table(("10,000 rules", "ms", "times the floor: medians (fastest)", "its limit"), rows)


def pairs(figures: Figures, *, all_of_them: bool = True) -> str:
    wanted = [
        ("load 10k", "floor 10k", "text to table in process, 10,000 rules, against the floor"),
        ("load 50k", "floor 50k", "the same, 50,000 rules"),
        ("ipvsadm -R 10k", "ipvsnl -R 10k", "ipvsadm -R against ipvsnl -R, whole processes, 10,000"),
        ("ipvsadm -R 10k", "load 10k", "ipvsadm -R against the load in process, 10,000"),
        ("pyroute2 10k", "load 10k", "pyroute2 against the load in process"),
        ("gnlpy 10k", "load 10k", "gnlpy against the load in process"),
        ("keepalived 10k", "load 10k", "keepalived against the load in process"),
        ("ipvsadm -R 100k", "ipvsnl -R 100k", "ipvsadm -R against ipvsnl -R, whole processes, 100,000"),
        ("floor mh", "load mh", "1,000 mh servers: naive floor against the load, mh put off"),
        ("load mh, not put off", "load mh", "the same load without putting off"),
        ("floor sh", "load sh", "1,000 sh servers: naive floor against the load, sh put off"),
        ("reload 50k", "fresh 50k", "reload of 50,000, rehearsal and deletion included, against a fresh load"),
        ("reload 50k, without the deletion", "fresh 50k", "of that, the load alone"),
        ("flush, load 50k in the same order", "fresh 50k", "flush and load in the same order, against a fresh load"),
        ("columns", "floor dump", "dump of 10,000 into columns against raw one-recv receive in C"),
        ("values", "floor dump", "the same into values"),
        ("ipvsadm -Sn", "ipvsnl -Sn", "ipvsadm -Sn against ipvsnl -Sn, whole processes"),
        ("ipvsadm -Ln", "ipvsnl -Ln", "ipvsadm -Ln against ipvsnl -Ln, whole processes"),
        ("ipvsadm -Sn", "python", "ipvsadm -Sn against the bare start of Python"),
    ]
    rows = [
        (words, figures.shown(one), figures.shown(other), figures.ratio(one, other))
        for one, other, words in wanted
        if all_of_them or (one in figures.seconds and other in figures.seconds)
    ]
    return table(("what", "first, ms", "second, ms", "ratio of medians (of the fastest)"), rows)


def host(benchmarks: list[dict[str, Any]]) -> str:
    rows = []
    for one in benchmarks:
        if "test_bulk.py" not in one["fullname"]:
            continue  # the other suites are not of this page
        stats, each = one["stats"], one["extra_info"].get("us_each")
        name = one["name"].removeprefix("test_").replace("_", " ")
        scale = each / stats["median"] if each else 1e3
        low, middle = (f"{stats[key] * scale:.3g}" for key in ("min", "median"))
        rows.append((one["group"], name, "µs each" if each else "ms", middle, low, f"{stats['iqr'] * scale:.2g}"))
    return table(("group", "what", "unit", "median", "fastest", "interquartile range"), rows)


def picture(figures: Figures) -> str:
    """Microseconds a rule, on a logarithmic scale, as SVG."""
    names = ["floor 10k", *[name for name in figures.seconds if name.endswith(" 10k") and name != "floor 10k"]]
    names.sort(key=figures.median)
    bars = []
    for row, name in enumerate(names):
        each = figures.median(name) * 100
        width, y = 120 * max(log10(each), 0.02), 24 * row + 8
        bars.append(
            f'<text x="148" y="{y + 13}" text-anchor="end">{name.removesuffix(" 10k")}</text>'
            f'<rect x="156" y="{y}" width="{width:.0f}" height="17" fill="#4878a8"/>'
            f'<text x="{162 + width:.0f}" y="{y + 13}">{each:.3g} µs</text>'
        )
    size = f'width="620" height="{24 * len(names) + 16}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">{"".join(bars)}</svg>\n'


def main() -> None:
    kernel = json.loads((BUILD / "kernel.json").read_text())
    figures = Figures(kernel["seconds"])
    (DOCS / "performance.svg").write_text(picture(figures))
    calls = [
        (
            name,
            str(one["rules"]),
            str(one["talk"]),
            f"{one['talk'] / one['rules']:.4f}",
            f"{one['all'] / one['rules']:.3f}",
        )
        for name, one in kernel["calls"].items()
    ]
    parts = (ROOT / "bench" / "performance.in.md").read_text()
    for key, text in {
        "KERNEL": kernel["kernel"],
        "BYTES": f"{kernel['bytes']:.0f}",
        "CALLS": table(("", "rules", "sends and receives", "a rule", "all calls of the process, a rule"), calls),
        "LOADS": loads(figures),
        "PAIRS": pairs(figures),
        "SPREAD": pairs(Figures(json.loads((BUILD / "kernel-spread.json").read_text())["seconds"]), all_of_them=False),
        "COMPILED": (BUILD / "compiled.md").read_text(),
        "LANE": (BUILD / "lane.md").read_text(),
        "KNOWN": (BUILD / "profile-known.md").read_text(),
        "OPENS": (BUILD / "profile-opens.md").read_text(),
        "FLOWS": (BUILD / "flows.md").read_text(),
        "CAPTURES": (BUILD / "captures.md").read_text(),
        "RUN_COST": (BUILD / "run_cost.md").read_text(),
        "HOST": host(json.loads((BUILD / "host.json").read_text())["benchmarks"]),
    }.items():
        parts = parts.replace(f"@{key}@", text.rstrip("\n"))
    (DOCS / "performance.md").write_text(parts)


if __name__ == "__main__":
    main()
