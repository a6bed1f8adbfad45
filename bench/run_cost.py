"""What ``ipvssim run`` costs: calls that pass, round trips, ``ipvsadm -R`` of 1,000 rules, ``find``; and without it.

    chrt -f 5 taskset -c 1 python -m bench.run_cost

The figures are minima: of 200 batches of 50 calls within a program, and of rounds in which the ways take turns. The
calls are those of a C program, since Python's own cost is as large as what is measured. (chrt, as root, keeps other
programs of a busy machine out.) Beside them stands a floor: the least that a supervisor in C can do for calls that pass
(``run_floor.c``). The table goes into docs/inside/performance.md in the place of the one that is there, and to
``bench/report.py``, which writes the whole page.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.page import ROOT, write

RUN = (sys.executable, "-m", "ipvssim", "run", "--")
HERE = Path(__file__).parent
TABLE = ROOT / "build" / "bench" / "run_cost.md"
TIMES = 7
HEAD = "| the least of each | in C, as installed | in Python alone | the floor | without `run` |"
"""The table's first line."""
IN_C, IN_PYTHON, FLOOR, BARE = "native", "python", "floor", "bare"
WAYS = (IN_C, IN_PYTHON, FLOOR, BARE)
PASSING = ("a path that passes", "a receive that passes")
"""What the floor's supervisor does, too."""

Figures = dict[str, dict[str, float]]
"""By what was measured, and by the way of it."""


def main() -> None:
    """Print the table, and write it."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("run_cost", "run_floor"):
            subprocess.run(["cc", "-O2", "-o", f"{folder}/{name}", HERE / f"{name}.c"], check=True)
        rules = Path(folder, "rules")
        rules.write_text(
            "-A -t 10.0.0.1:80 -s rr\n"
            + "".join(f"-a -t 10.0.0.1:80 -r 10.{one // 250}.{one % 250}.7:80 -m -w 1\n" for one in range(999))
        )
        calls, seconds = measured(folder, rules)
    lines = [HEAD, "| --- | --- | --- | --- | --- |"]
    lines += [_row(name, found, "{:.1f} µs") for name, found in calls.items()]
    lines += [_row(name, found, "{:.2f} s") for name, found in seconds.items()]
    write(TABLE, HEAD, "\n".join(lines) + "\n")


def measured(folder: str, rules: Path) -> tuple[Figures, Figures]:
    """Microseconds of calls, and seconds of programs: the least of all rounds."""
    calls: Figures = {}
    seconds: Figures = {}
    programs: dict[str, tuple[list[str], Path | None]] = {
        "`ipvsadm -R` of 1,000 rules": (["ipvsadm", "-R"], rules),
        "a program that does nothing": (["true"], None),
        "`find /usr/lib`": (["find", "/usr/lib", "-name", "nothing"], None),
    }
    for _ in range(TIMES):
        for way in WAYS:
            before = [] if way == BARE else [f"{folder}/run_floor"] if way == FLOOR else list(RUN)
            for line in _done([*before, f"{folder}/run_cost"], way).splitlines():
                name, _, microseconds = line.rpartition(" ")
                if way != FLOOR or name in PASSING:
                    _least(calls, name, way, float(microseconds))
            for name, (words, stdin) in programs.items():
                if way != FLOOR and (way != BARE or stdin is None):
                    _least(seconds, name, way, _seconds(lambda: _done([*before, *words], way, stdin)))  # noqa: B023
    return calls, seconds


def _least(figures: Figures, name: str, way: str, value: float) -> None:
    found = figures.setdefault(name, {})
    found[way] = min(value, found.get(way, value))


def _row(name: str, found: dict[str, float], form: str) -> str:
    cells = [form.format(found[way]) if way in found else "" for way in WAYS]
    return f"| {name} | {' | '.join(cells)} |"


def _seconds(does: Callable[[], object]) -> float:
    began = time.perf_counter()
    does()
    return time.perf_counter() - began


def _done(words: list[str], way: str, stdin: Path | None = None) -> str:
    """A program's output. Its modules are compiled once, as those of an installed package are."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "sim"), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if way in (IN_C, IN_PYTHON):
        environment["IPVSSIM_HELD"] = way
    with Path(stdin or os.devnull).open() as given:
        return subprocess.run(words, stdin=given, stdout=subprocess.PIPE, check=True, text=True, env=environment).stdout


if __name__ == "__main__":
    main()
