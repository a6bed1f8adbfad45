"""The forms of the simulator that are compared with a kernel: the files as they are; packets by the express lane, each a
batch; and both compiled, where `make test-compiled` has built that from the files as they are now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ipvssim.lane import compiled as lane
from tests.places import ROOT

COMPILED = ROOT / "build" / "compiled" / "bin" / "python"
_REPLAY, _BY_LANE = "ipvssim.doors.replay", "tests.ipvssim.lane.by_lane"


def python() -> str:
    """The Python of the project's own environment, else this one."""
    inside = ROOT / ".venv" / "bin" / "python"
    return str(inside) if inside.exists() else sys.executable


class Form(NamedTuple):
    """A way to replay traces."""

    name: str
    command: tuple[str, ...]

    def replay(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What ``ipvssim replay`` says to these arguments."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)} if "-P" in self.command else None
        return subprocess.run([*self.command, *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)

    def differing(self, traces: Sequence[Path], kernel: str) -> dict[str, str]:
        """Of recorded traces those that differ, by name, and what was said of each. RuntimeError where it says nothing."""
        done = self.replay("--kernel", kernel, "--check", *map(str, traces))
        if done.returncode not in (0, 1) or "Traceback" in done.stderr:
            raise RuntimeError(f"the simulator, {self.name}: {done.stderr.strip() or done.returncode}")
        found: dict[str, str] = {}
        for line in done.stdout.splitlines(keepends=True):
            name = json.loads(line)["trace"]
            found[name] = found.get(name, "") + line
        return found


PLAIN = Form("as its files are", (python(), "-m", _REPLAY))


def is_built() -> bool:
    """Whether the compiled simulator is there, and none of the files has changed since."""
    built = [
        path.stat().st_mtime for path in COMPILED.parents[1].glob("lib/python*/site-packages/ipvsnl-*.dist-info/RECORD")
    ]
    files = [path.stat().st_mtime for path in (ROOT / "sim" / "ipvssim").rglob("*.py")]
    if built and max(files) > built[0]:
        print("NOT compared: the compiled simulator, which is older than the files (make test-compiled)")
        return False
    return bool(built) and COMPILED.exists()


def others() -> list[Form]:
    """The other forms that there are here."""
    found = [Form("by the express lane", (python(), "-m", _BY_LANE))] if lane else []
    if is_built():
        found.append(Form("compiled", (str(COMPILED), "-P", "-m", _REPLAY)))
        found.append(Form("compiled, by the express lane", (str(COMPILED), "-P", "-m", _BY_LANE)))
    return found
