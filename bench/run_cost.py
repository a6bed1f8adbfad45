"""What ``ipvssim run`` costs: calls that pass, round trips, ``ipvsadm -R`` of 1,000 rules, ``find``; and without it.

    chrt -f 5 taskset -c 1 python -m bench.run_cost

The figures are minima: of 200 batches of 50 calls within a program, and of five programs. The calls are a C program's, since
Python's own cost is as large as what is measured. (chrt, as root, keeps other programs of a busy machine out.)
IPVSSIM_HELD=python measures the run without its C part.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = (sys.executable, "-m", "ipvssim", "run", "--")
PROGRAM = Path(__file__).with_name("run_cost.c")
TIMES = 5


def main() -> None:
    """Print a line for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        program, rules = f"{folder}/calls", Path(folder, "rules")
        subprocess.run(["cc", "-O2", "-o", program, PROGRAM], check=True)
        rules.write_text(
            "-A -t 10.0.0.1:80 -s rr\n"
            + "".join(f"-a -t 10.0.0.1:80 -r 10.{one // 250}.{one % 250}.7:80 -m -w 1\n" for one in range(999))
        )
        bare, held = _calls([program]), _calls([*RUN, program])
        for name, microseconds in held.items():
            print(f"{name:30} {microseconds:8.1f} us, without {bare[name]:.1f}")
        print(f"{'ipvsadm -R of 1,000 rules':30} {_seconds([*RUN, 'ipvsadm', '-R'], rules):8.2f} s")
        print(f"{'a program that does nothing':30} {_seconds([*RUN, 'true']):8.2f} s")
        found = ["find", "/usr/lib", "-name", "nothing"]
        held_long, bare_long = _seconds([*RUN, *found]), _seconds(found)
        print(f"{'find /usr/lib':30} {held_long:8.2f} s, without {bare_long:.2f}")


def _calls(words: list[str]) -> dict[str, float]:
    """Microseconds of each kind of call."""
    least: dict[str, float] = {}
    for _ in range(TIMES):
        for line in _done(words).splitlines():
            name, _, microseconds = line.rpartition(" ")
            least[name] = min(float(microseconds), least.get(name, float("inf")))
    return least


def _seconds(words: list[str], stdin: Path | None = None) -> float:
    def once() -> float:
        began = time.perf_counter()
        _done(words, stdin)
        return time.perf_counter() - began

    return min(once() for _ in range(TIMES))


def _done(words: list[str], stdin: Path | None = None) -> str:
    path = os.pathsep.join((str(ROOT), str(ROOT / "sim"), os.environ.get("PYTHONPATH", "")))
    with Path(stdin or os.devnull).open() as given:
        return subprocess.run(
            words, stdin=given, stdout=subprocess.PIPE, check=True, text=True, env={**os.environ, "PYTHONPATH": path}
        ).stdout


if __name__ == "__main__":
    main()
