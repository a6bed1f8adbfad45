"""The main job on the embedded kernel, as an operator does it: load, list, change, delete, save, restore; each step timed.

Run by ``make demo``. It needs no root: the table is that of a simulated kernel, in a file of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

RULES = Path(__file__).parent.parent / "tests" / "data" / "rules" / "cluster-10k.rules"
COMMAND = Path(sys.executable).with_name("ipvsnl")


def step(title: str, target: str, *arguments: str, stdin: Path | None = None, stdout: Path | None = None) -> float:
    """Run one command line, show its first lines and what it took; its failure is the demo's."""
    shown = " ".join(arguments) + (f" < {stdin.name}" if stdin else "") + (f" > {stdout.name}" if stdout else "")
    print(f"\n# {title}\n$ ipvsnl --target {target} {shown}", flush=True)
    began = time.perf_counter()
    done = subprocess.run(
        [str(COMMAND), "--target", target, *arguments],
        stdin=stdin.open() if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    took = time.perf_counter() - began
    if stdout:
        stdout.write_text(done.stdout)
    lines = [] if stdout else done.stdout.splitlines()
    print("\n".join(lines[:6] + ([f"... {len(lines) - 6} more lines"] if len(lines) > 6 else [])))
    print(f"  took {took:.2f} s", flush=True)
    if done.returncode:
        sys.exit(f"the step failed with exit status {done.returncode}")
    return took


def main() -> None:
    """The demo in a directory of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ipvsnl-demo-") as folder:
        target, saved, again = f"sim:{folder}/table", Path(folder, "saved.rules"), Path(folder, "again.rules")
        service, server = "10.96.0.0:443", "10.130.13.167:443"
        rules = len(RULES.read_text().splitlines())
        total = step(f"Load {rules:,} rules", target, "--progress", "-R", stdin=RULES)
        total += step("List one virtual service", target, "-Ln", "-t", service)
        total += step(
            "Change the weight of one real server", target, "-e", "-t", service, "-r", server, "-m", "-w", "7"
        )
        total += step("Delete another", target, "-d", "-t", service, "-r", "10.157.176.60:443")
        total += step("See both", target, "-Ln", "-t", service)
        total += step("Save the table", target, "-Sn", stdout=saved)
        total += step("Clear it", target, "-C")
        total += step("Restore what was saved", target, "--progress", "-R", stdin=saved)
        total += step("Save again", target, "-Sn", stdout=again)
        if saved.read_text() != again.read_text():
            sys.exit("what was restored is not what was saved")
        print(f"\nWhat was restored is what was saved, to the byte. All of it took {total:.2f} s.")


if __name__ == "__main__":
    main()
