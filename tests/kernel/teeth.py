"""Which recorded traces bite: a trace shows a behaviour if the kernel's answers differ once that behaviour is turned round.

    python -m tests.kernel.teeth FILE.trace ...

prints for each behaviour of ``ipvssim.behaviours`` the shortest of these traces (each with its recording beside it) that
shows it, and at last the behaviours that none shows, which make the exit status 1.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ipvssim.behaviours import NAMES, Release, resolve
from ipvssim.doors.replay import SAME, Job, replay
from ipvssim.doors.traces import ReplayError


def release_of(recording: Path) -> Release:
    """The kernel that made the recording, as its first line tells; of Debian's ordinary ones the version does."""
    with recording.open() as file:
        about = json.loads(file.readline())
    words = str(about.get("version", "")).split()
    stable = words[words.index("Debian") + 1].partition("-")[0] if "Debian" in words else ""
    return resolve(stable if about["machine"] != "uml" and stable else about["release"])


def same(trace: Path, recording: Path, release: Release) -> bool:
    """Whether a kernel of that release answers as the recorded one did. One that lacks a module of the trace does not."""
    try:
        return replay(Job(trace, recording), check=True, release=release, out=io.StringIO()) == SAME
    except ReplayError as wrong:
        if "has no such module" not in str(wrong):
            raise
        return False


def shown(trace: Path, recording: Path, names: Iterable[str] = NAMES) -> set[str]:
    """Those of the behaviours that the trace shows; ValueError if the recording differs as it is."""
    kernel = release_of(recording)
    if not same(trace, recording, kernel):
        raise ValueError(f"{recording}: differs from the simulator's {kernel.name}")
    return {name for name in names if not same(trace, recording, turned(kernel, name))}


def turned(kernel: Release, name: str) -> Release:
    """The kernel with one behaviour the other way round."""
    return Release(kernel.name, kernel.behaviours.changed(name))


def main(arguments: Sequence[str]) -> int:
    """The command; its exit status is 1 where a behaviour is shown by no trace."""
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in NAMES}
    for trace in map(Path, arguments):
        try:
            names = shown(trace, trace.with_suffix(".kernel"))
        except ValueError as wrong:
            print(wrong)
            continue
        for name in names:
            found[name].append((trace.stat().st_size, str(trace)))
    for name, traces in found.items():
        print(f"{name}: {len(traces)} traces, {min(traces)[1] if traces else 'none'}")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
