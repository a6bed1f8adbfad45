"""What the express lane brings to the laboratory: the same runs on it and in the loop, in turns; and the largest runs.

    python -m bench.flows

Each row is microseconds of the processor a connection, its drawing and its figures included, the median of some turns and
the range from the fastest to the slowest. The table goes into docs/inside/performance.md in the place of the one that is
there, and to ``bench/report.py``, which writes the whole page.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench.page import ROOT, shown, write
from bench.test_lab import cost
from ipvssim.lane import compiled

TABLE = ROOT / "build" / "bench" / "flows.md"
_HEAD = "| microseconds a connection | in the loop | on the lane | ratio of medians |"
TURNS = 5
CONNECTIONS = 50_000
ROWS = (("wlc", 10, "-g"), ("wlc", 100, "-g"), ("wlc", 1000, "-g"), ("rr", 100, "-g"), ("wlc", 100, "-m"))
MILLION = 1_000_000
_LARGEST = """
import resource
from bench.test_lab import cost
print(cost(100, 10_000_000), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def _row(scheduler: str, servers: int, options: str) -> tuple[list[float], list[float]]:
    cost(servers, 1_000, scheduler, options)  # what is done once
    turns = [
        [cost(servers, CONNECTIONS, scheduler, options, lanes=lanes) / CONNECTIONS * 1e6 for lanes in (False, True)]
        for _ in range(TURNS)
    ]
    return [loop for loop, _ in turns], [lane for _, lane in turns]


def _largest() -> str:
    """A million connections over 10, 100 and 1,000 servers, and ten million over 100."""
    few, hundred, many = ([cost(servers, MILLION) for _ in range(3)] for servers in (10, 100, 1000))
    python = os.pathsep.join((str(ROOT), str(ROOT / "sim"), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-P", "-c", _LARGEST], env={**os.environ, "PYTHONPATH": python}, check=True, capture_output=True,
        text=True, cwd=Path(ROOT),
    )  # fmt: skip
    seconds, peak = map(float, done.stdout.split())
    return (
        f"A million connections under wlc take {shown(few)} s of the processor over 10 servers, {shown(hundred)} s over "
        f"100, {shown(many)} s over 1,000 ({median(many) / median(few):.2f} times those over 10). Ten million over 100 take "
        f"{seconds:.0f} s, in a process that grows to {peak / 1e9:.1f} GB."
    )


def main() -> None:
    """Print the table, and write it."""
    if not compiled:
        raise SystemExit("the express lane's C was not built")
    lines = [_HEAD, "| --- | --- | --- | --- |"]
    for scheduler, servers, options in ROWS:
        loop, lane = _row(scheduler, servers, options)
        lines.append(
            f"| {scheduler} of {servers}, {options} | {shown(loop)} | {shown(lane)} | {median(loop) / median(lane):.0f} |"
        )
    write(TABLE, _HEAD, "\n".join([*lines, "", _largest()]) + "\n", "## ")


if __name__ == "__main__":
    main()
