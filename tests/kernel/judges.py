"""The kernels that judge: which one is asked, what the simulator has to be for it, and how traces are recorded on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ipvsnl.lab_kernel.choosing import chosen
from ipvsnl.lab_kernel.command import EXIT_BOOT, EXIT_MISSING
from ipvsnl.lab_kernel.image import Image
from ipvsnl.lab_kernel.machine import one_processor
from ipvsnl.lab_kernel.modules import Tree
from tests.places import ROOT

LIMIT = 1800  # seconds that one boot may take
os.environ.setdefault("IPVSNL_LAB_CACHE", str(ROOT / "build" / "kernels"))


TURNS = ("bullseye", "trixie", "sid", "qemu:bookworm", "qemu:trixie", "qemu:experimental")
"""Kernels that are compared besides the installed one, each in turn."""


def in_turn(day: int) -> str:
    """Whose turn it is on that day (counted from whatever day)."""
    return TURNS[day % len(TURNS)]


class Judge(NamedTuple):
    """A real kernel. ``release`` is the word for ``lab-kernel --release`` (None: the installed one)."""

    release: str | None
    image: Image

    @property
    def kernel(self) -> str:
        """What the simulator is asked to be (``--kernel``): the stable release. Debian's ordinary kernels do not have it in
        their name, but in the version of their package."""
        version = re.search(r" (\d+\.\d+(?:\.\d+|~rc\d+))", self.image.package) if self.emulated else None
        return version.group(1).replace("~", "-") if version else self.image.release

    @property
    def emulated(self) -> bool:
        """Whether QEMU runs it."""
        return bool(self.image.initramfs)

    def has(self, module: str) -> bool:
        """Whether the kernel can load this module."""
        try:
            return bool(Tree(Path(self.image.modules, self.image.release)).needed([module]))
        except LookupError:
            return False

    @property
    def booted(self) -> str:
        """How it was booted, in words."""
        how = "QEMU's plain emulation" if self.emulated else "user-mode-linux"
        package = f"; package {self.image.package}" if self.image.package else ""
        return f"{how}{package}; `{' '.join(['ipvsnl lab-kernel', *self.options])}`"

    @property
    def options(self) -> list[str]:
        """What the laboratory is told, to boot it for recordings: in QEMU, with a time that waits for nobody."""
        return [*(["--release", self.release] if self.release else []), *(["--time-travel"] if self.emulated else [])]


def judge(release: str | None) -> Judge:
    """The judge of that name, fetched if need be; MissingError, ValueError as ``choosing.chosen``."""
    return Judge(release, chosen(release))


def record(asked: Judge, traces: Sequence[Path], boots: int, jobs: int) -> None:
    """Record traces beside themselves, in so many kernels at once, showing progress."""
    waiting = list(enumerate(shared_out(traces, boots)))
    runs: list[subprocess.Popen[bytes]] = []
    try:
        while waiting or any(run.poll() is None for run in runs):
            if waiting and sum(run.poll() is None for run in runs) < boots:
                number, (modules, some) = waiting.pop(0)
                with one_processor(number):
                    runs.append(_recording(asked, modules, some, jobs))
            else:
                time.sleep(0.5)
            show(f"recording: {sum(path.with_suffix('.kernel').exists() for path in traces)} of {len(traces)} traces")
    finally:
        for run in runs:
            run.terminate()
            run.wait()
    show("")
    for run in runs:
        if run.returncode in (EXIT_MISSING, EXIT_BOOT):
            raise SystemExit(run.returncode)


def _recording(asked: Judge, modules: Sequence[str], traces: Sequence[Path], jobs: int) -> subprocess.Popen[bytes]:
    """A kernel with these modules, in which traces are recorded."""
    command = [
        *(sys.executable, "-m", "ipvsnl.lab_kernel", "--as-root", "--timeout", str(LIMIT)),
        *asked.options,
        *(f"--module={name}" for name in modules),
        *("--", sys.executable, "-m", "tests.kernel.recorder", "--jobs", str(jobs)),
        *(["--package", asked.image.package] if asked.image.package else []),
        *map(str, traces),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def shared_out(traces: Sequence[Path], boots: int) -> list[tuple[tuple[str, ...], list[Path]]]:
    """The traces of each boot. A module is there for every namespace of its kernel, so those that want one are apart."""
    groups: dict[tuple[str, ...], list[Path]] = {}
    for trace in traces:
        with trace.open() as file:
            groups.setdefault(tuple(json.loads(file.readline()).get("modules", ())), []).append(trace)
    return [(modules, some[at::boots]) for modules, some in groups.items() for at in range(min(boots, len(some)))]


def show(text: str) -> None:
    """Progress, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
