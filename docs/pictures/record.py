"""Draws the pictures of the README from real runs: ``python docs/pictures/record.py`` in the repository's environment."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RULES = ROOT / "tests" / "data" / "rules"
SESSION = [
    f"ipvsnl -R < {RULES / 'mixed.rules'}",
    "ipvsnl -Ln",
    "ipvsnl -e -t 203.0.113.1:80 -r 10.0.0.12:8080 -m -w 9",
    "ipvsnl -Ln -t 203.0.113.1:80",
    "echo '-a -t 203.0.113.9:80 -r 10.0.0.10:80 -m' | ipvsnl -R",
]


def main() -> None:
    """The session as one SVG."""
    console = Console(record=True, width=104, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "IPVSNL_TARGET": f"sim:{folder}/table"}
        for line in SESSION:
            shown = line.replace(shlex.quote(str(RULES)), "rules").replace(str(RULES), "rules")
            console.print(Text.assemble(("$ ", "bold green"), (shown, "bold")))
            done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True)
            console.print(Text(done.stdout.rstrip("\n"))) if done.stdout else None
            console.print(Text(done.stderr.rstrip("\n"), "red")) if done.stderr else None
    console.save_svg(str(HERE / "session.svg"), title="ipvsnl on the embedded kernel, no root")


if __name__ == "__main__":
    main()
