"""Programs under ``ipvssim run``, for the tests: the command as a process, and a list of commands in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from ipvssim.run.core import core

ROOT = Path(__file__).resolve().parents[3]
RUN = (sys.executable, "-m", "ipvssim", "run")


@cache
def why_not() -> str:
    """Why no program can be run here; empty where one can."""
    done = run("true")
    return "" if done.returncode == 0 else done.stderr.strip()


@cache
def no_namespace() -> str:
    """Why this user can make no network namespace (a chroot and a hardened kernel refuse it); empty where that works."""
    done = subprocess.run(["unshare", "-rn", "true"], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips, with the reason, where programs can't be run, one is not installed, or unshare is refused what it does."""
    missing = next((name for name in programs if which(name) is None), None)
    reason = f"{missing} is not installed" if missing else why_not()
    if not reason and "unshare" in programs:
        reason = no_namespace()
    return pytest.mark.skipif(bool(reason), reason=f"ipvssim run: {reason}")


WAYS = ("python", "native") if core is not None else ("python",)
"""How held calls are reached: the values of IPVSSIM_HELD that there can be here."""


def run(
    *words: str, options: tuple[str, ...] = (), stdin: str = "", timeout: float = 60, way: str = ""
) -> subprocess.CompletedProcess[str]:
    """One program, to its end; ``way`` is one of WAYS, or whichever there is."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "sim"), os.environ.get("PYTHONPATH", "")))
    return subprocess.run(
        [*RUN, *options, "--", *words], input=stdin, capture_output=True, text=True, timeout=timeout,
        env={**os.environ, "PYTHONPATH": path, **({"IPVSSIM_HELD": way} if way else {})},
    )  # fmt: skip


_STEPS = """
import json, subprocess, sys
def one(step):
    done = subprocess.run(step["args"], input=step.get("stdin", ""), capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]
print(json.dumps([one(step) for step in json.load(sys.stdin)]))
"""


def session(
    steps: list[dict[str, Any]], *, within: tuple[str, ...] = (), options: tuple[str, ...] = (), timeout: float = 300
) -> list[list[Any]]:
    """Commands one after the other on one table; status, output and messages of each. ``within`` is a command that runs
    them all."""
    done = run(*within, sys.executable, "-c", _STEPS, options=options, stdin=json.dumps(steps), timeout=timeout)
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout)
    return found
