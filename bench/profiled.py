"""Where a packet's time goes: in the files as they are, in the compiled modules, and on the express lane.

    make test-compiled && python -m bench.profiled [build/compiled/bin/python]

A column is the functions that take most, each with its own share, without what it calls: of the time in the files as they
are (cProfile, which sees Python's functions only), of the instructions elsewhere (callgrind, so valgrind must be there).
Instructions are the difference between two runs that prepare the same packets and receive few and many of them. The tables
go into docs/inside/performance.md in the place of those that are there, and to ``bench/report.py``.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.compiled import COMPILED
from bench.page import ROOT, write

TABLE = ROOT / "build" / "bench"
KINDS = {"known": "a packet of a known connection, NAT", "opens": "a packet that opens one, wlc of 100"}
FEW, MANY = 1_000, 3_000
LINES = 12
_COST = re.compile(r"^\s*([\d,]+) \(.*?\)\s+(?:\S*?:)?(\S+?)(?:'\d+)?(?: \[.*\])?$")


def prepared(kind: str) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """How so many packets are received: one by one, and in a batch."""
    from ipvssim.lane import Packed
    from tests.ipvssim import worlds as w

    world, servers = w.World(), 10 if kind == "known" else 100
    service = world.service(w.TCP, scheduler="wlc")
    for number in range(servers):
        world.server(service, bytes((10, 0, 0, 10 + number % 16)), 8080 + number // 16)
    clients = 50 if kind == "known" else MANY
    opening, later = (
        [w.tcp(flags, source=struct.pack("!I", 0x0B000000 + number)) for number in range(clients)]
        for flags in (w.SYN, w.ACK)
    )
    packets = later * (MANY // clients) if kind == "known" else opening
    data = b"".join(packets)
    ends = array("q", range(0, len(data) + 1, len(packets[0])))
    receive, receive_many = world.director.receive, world.kernel.receive_many

    def one_by_one(count: int) -> None:
        for packet in packets[:count]:
            receive(packet, "client")

    def at_once(count: int) -> None:
        receive_many(Packed(data, ends[: count + 1]))

    if kind == "known":
        for packet in opening:
            receive(packet, "client")
    return one_by_one, at_once


def own_times(kind: str) -> Counter[str]:
    """Microseconds by function of the files as they are."""
    one_by_one, _ = prepared(kind)
    profile = cProfile.Profile()
    profile.runcall(one_by_one, MANY)
    found: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        found[f"{Path(file).stem}.{name}" if "/" in file else name] += int(own * 1e6)
    return found


def instructions(python: str, path: list[Path], kind: str, way: str, place: Path) -> Counter[str]:
    """Instructions of one packet by function."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONHASHSEED": "0"}
    found: Counter[str] = Counter()
    for count, sign in ((MANY, 1), (FEW, -1)):
        out = place / f"{kind}.{way}.{count}"
        words = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", python, "-P", "-m", "bench.profiled"]
        subprocess.run([*words, "--here", kind, way, str(count)], env=environment, check=True, capture_output=True)
        told = subprocess.run(
            ["callgrind_annotate", "--threshold=100", "--auto=no", str(out)], check=True, capture_output=True, text=True
        )
        for line in told.stdout.splitlines():
            if (match := _COST.match(line)) and "PROGRAM" not in line:
                found[_named(match[2])] += sign * int(match[1].replace(",", ""))
    return found


def _named(symbol: str) -> str:
    """A function's name as its source has it: mypyc joins module, class and function by three underscores."""
    return symbol.removeprefix("CPyDef_").replace("___", ".") if symbol.startswith("CPyDef_") else symbol


def column(found: Counter[str]) -> list[str]:
    """The functions that take most, with their shares."""
    whole = sum(found.values())
    return [f"{100 * cost / whole:.1f} % `{name}`" for name, cost in found.most_common(LINES)]


def main(python: str) -> int:
    """Print the tables, and write them."""
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is not installed")
    with tempfile.TemporaryDirectory() as place:
        for kind, name in KINDS.items():
            here, there = [ROOT, ROOT / "sim"], [ROOT]
            runs = ((sys.executable, here, "one"), (python, there, "one"), (python, there, "many"))
            plain, compiled, lane = (instructions(*run[:2], kind, run[2], Path(place)) for run in runs)
            head = f"| {name} | as it is | compiled | on the express lane |"
            counts = [f"{sum(one.values()) / (MANY - FEW):,.0f} instructions" for one in (plain, compiled, lane)]
            rows = [head, "| --- | --- | --- | --- |", f"| whole | {' | '.join(counts)} |"]
            columns = [column(one) for one in (own_times(kind), compiled, lane)]
            rows += [
                f"| {place + 1} | {' | '.join(one[place] if place < len(one) else '' for one in columns)} |"
                for place in range(LINES)
            ]
            write(TABLE / f"profile-{kind}.md", head, "\n".join(rows) + "\n")
    return 0


if __name__ == "__main__":
    if "--here" in sys.argv:
        kind, way, count = sys.argv[2:]
        prepared(kind)[way == "many"](int(count))
    else:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(COMPILED)))
