"""What a plan costs: 100,000 rules against a table that differs in ten of them, the whole process, on the simulated kernel.

Seconds are of the processor, so that whatever else runs on the machine is left out. With ``-s`` they print.
"""

from __future__ import annotations

import lzma
import os
import resource
import subprocess
import sys
from pathlib import Path

RULES = Path(__file__).parent.parent / "tests" / "data" / "rules" / "cluster-100k.rules.xz"
IPVSNL = Path(sys.executable).with_name("ipvsnl")
MOST_SECONDS = 2.0


def differing(lines: list[str]) -> list[str]:
    """The rules with six other weights, two servers less, a server and a service more."""
    servers = [number for number, line in enumerate(lines) if line.startswith("-a")]
    chosen = servers[:: len(servers) // 8][:8]
    changed = {number: f"{lines[number].rsplit(' ', 1)[0]} 77" for number in chosen[:6]}
    kept = [changed.get(number, line) for number, line in enumerate(lines) if number not in chosen[6:]]
    service = lines[0].split(" -s ")[0].replace("-A", "-a")
    return [*kept, f"{service} -r 10.255.0.1:80 -m -w 1", "-A -t 10.97.0.0:5432 -s rr"]


def test_a_plan_of_a_hundred_thousand_rules(tmp_path: Path) -> None:
    """Under 2 s from start to exit, reading the simulated kernel's table file included."""
    text = lzma.decompress(RULES.read_bytes()).decode()
    wanted = tmp_path / "wanted.rules"
    wanted.write_text("\n".join(differing(text.splitlines())) + "\n")
    environment = {**os.environ, "IPVSNL_TARGET": f"sim:{tmp_path / 'table'}", "XDG_STATE_HOME": str(tmp_path)}
    subprocess.run([IPVSNL, "-R"], input=text, text=True, env=environment, check=True)
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([IPVSNL, "plan", "--prune", wanted], env=environment, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 2, done.stderr
        assert done.stdout.endswith("1 service and 1 server to add, 6 servers to change, 2 servers to delete\n")
    print(f"plan of 100,000 rules with 10 differences: {min(seconds):.2f} s")
    assert min(seconds) < MOST_SECONDS
