"""What compiling the simulator brings: the same work on the compiled modules and on the files as they are, in turns.

    make test-compiled && python -m bench.compiled [build/compiled/bin/python]

Each row is microseconds of the processor, the median of some processes and the range from the fastest to the slowest; the
processes of both builds take turns, so that whatever else the machine does meets both. The table goes into
docs/inside/performance.md in the place of the one that is there, and to ``bench/report.py``, which writes the whole page.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.page import ROOT, shown, write

COMPILED = ROOT / "build" / "compiled" / "bin" / "python"
TABLE = ROOT / "build" / "bench" / "compiled.md"
_HEAD = "| microseconds | as it is | compiled | ratio of medians |"
TURNS = 5
PACKETS = 20_000
CONNECTIONS = 50_000
"""Of a run of the laboratory, its drawing and its figures included."""


def measured() -> dict[str, float]:
    """The rows of this process, by name."""
    import ipvssim

    rows = {"compiled": float(ipvssim.compiled), "a packet of a known connection, NAT": _known()}
    for scheduler, servers in (("rr", 10), ("wlc", 100)):
        rows[f"a packet that opens one, {scheduler} of {servers}"] = _opening(scheduler, servers)
    rows["a laboratory connection in the loop, wlc of 100"] = _laboratory()
    return rows


def _world(scheduler: str, servers: int) -> Callable[[bytes, str], object]:
    from tests.ipvssim import worlds as w

    made = w.World()
    service = made.service(w.TCP, scheduler=scheduler)
    for number in range(servers):
        made.server(service, bytes((10, 0, 0, 10 + number % 16)), 8080 + number // 16)
    return made.director.receive


def _packets(flags: int, count: int) -> list[bytes]:
    from tests.ipvssim import worlds as w

    return [w.tcp(flags, source=struct.pack("!I", 0x0B000000 + number)) for number in range(count)]


def _each(receive: Callable[[bytes, str], object], packets: list[bytes]) -> float:
    began = time.process_time()
    for packet in packets:
        receive(packet, "client")
    return (time.process_time() - began) / len(packets) * 1e6


def _known() -> float:
    from tests.ipvssim import worlds as w

    receive = _world("wlc", 10)
    _each(receive, _packets(w.SYN, 50))
    return min(_each(receive, _packets(w.ACK, 50) * (PACKETS // 50)) for _ in range(3))


def _opening(scheduler: str, servers: int) -> float:
    from tests.ipvssim import worlds as w

    packets = _packets(w.SYN, PACKETS)
    return min(_each(_world(scheduler, servers), packets) for _ in range(3))


def _laboratory() -> float:
    from bench.test_lab import cost

    cost(100, 1_000, lanes=False)  # what is done once
    return cost(100, CONNECTIONS, lanes=False) / CONNECTIONS * 1e6


def _turn(python: str, path: list[Path]) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [python, "-P", "-m", "bench.compiled", "--here"], env=environment, check=True, capture_output=True, text=True
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def main(python: str) -> int:
    """Print the table, and write it."""
    compiled, plain = [], []
    for _ in range(TURNS):
        compiled.append(_turn(python, [ROOT]))
        plain.append(_turn(sys.executable, [ROOT, ROOT / "sim"]))
    if not all(one["compiled"] for one in compiled) or any(one["compiled"] for one in plain):
        raise SystemExit(f"{python} has no compiled simulator, or this one has: make test-compiled")
    lines = [_HEAD, "| --- | --- | --- | --- |"]
    for name in list(plain[0])[1:]:
        before, after = [one[name] for one in plain], [one[name] for one in compiled]
        lines.append(f"| {name} | {shown(before)} | {shown(after)} | {median(before) / median(after):.2f} |")
    table = "\n".join(lines) + "\n"
    write(TABLE, _HEAD, table)
    return 0


if __name__ == "__main__":
    if "--here" in sys.argv:
        print(json.dumps(measured()))
    else:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(COMPILED)))
