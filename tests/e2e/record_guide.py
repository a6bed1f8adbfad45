"""Records the guide's session with the real ipvsadm on the real kernel: run inside the laboratory, writes guide.json.

ipvsnl lab-kernel -- python -m tests.e2e.record_guide
"""

from __future__ import annotations

import json
import subprocess

from tests.places import DATA

GUIDE = DATA / "e2e" / "guide.json"
SERVICE = "10.10.88.188:7480"
STEPS: list[tuple[str, str | None]] = [
    ("-A -t 10.10.88.188:7480 -s wlc -p 1800", None),
    ("-a -t 10.10.88.188:7480 -r 172.16.130.20:7480 -m", None),
    ("-L -n", None),
    ("-S -n", None),
    ("-C", None),
    ("-L -n", None),
    ("-R", "-A -t 10.10.88.188:7480 -s wlc -p 1800\n-a -t 10.10.88.188:7480 -r 172.16.130.20:7480 -m -w 1\n"),
    ("-L -n", None),
    ("-d -t 10.10.88.188:7480 -r 172.16.130.20:7480", None),
    ("-L -n", None),
    ("-a -t 10.10.88.188:7480 -r 172.16.130.21:7480 -m", None),
    ("-A -t 10.10.88.189:80 -s rr", None),
    ("-a -t 10.10.88.189:80 -r 172.16.130.22 -g -w 3", None),
    ("-L -n", None),
    ("-Ln --stats", None),
    ("-Ln --rate", None),
    ("-Ln --thresholds", None),
    ("-Ln --persistent-conn", None),
    ("-D -t 10.10.88.188:7480", None),
    ("-L -n", None),
    ("-D -t 10.10.88.188:7480", None),
    ("-S -n", None),
]
"""Arguments and standard input, in order."""


def main() -> None:
    """Run each step and keep what it said."""
    recorded = []
    for arguments, stdin in STEPS:
        done = subprocess.run(["ipvsadm", *arguments.split()], input=stdin or "", capture_output=True, text=True)
        recorded.append(
            {"args": arguments, "stdin": stdin, "rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        )
    GUIDE.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
