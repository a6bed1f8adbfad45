"""Files that are replaced whole: what a dead writer left is removed by the next one, and a living writer's is left alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ipvsnl import _files as files


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_writer_left_is_removed(tmp_path: Path, number: signal.Signals) -> None:
    """Whoever writes the file next removes it, whatever file it is: reports and captures have no lock of their own."""
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    process = os.fork()
    if not process:
        with files.whole(path) as file:
            file.write(b"half")
            os.kill(os.getpid(), number)
            time.sleep(60)
    os.waitpid(process, 0)
    assert path.read_bytes() == b"old" and len(left(tmp_path)) == 2
    files.replace(path, b"new")
    assert path.read_bytes() == b"new" and left(tmp_path) == ["report.html"]


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    """Two write the same file at once: each writes it whole, and the last one to end has it."""
    path = tmp_path / "report.html"
    with files.whole(path) as slow:
        slow.write(b"slow")
        files.replace(path, b"quick")
        files.sweep(path)
        assert len(left(tmp_path)) == 2 and path.read_bytes() == b"quick"
    assert path.read_bytes() == b"slow" and left(tmp_path) == ["report.html"]


def test_a_sweep_between_making_and_locking_costs_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file that is swept before its writer has locked it is made anew."""
    path, lock = tmp_path / "a", files._lock
    swept: list[int] = []

    def late(handle: int) -> None:
        if not swept:
            swept.append(handle)
            files.sweep(path)
        lock(handle)

    monkeypatch.setattr(files, "_lock", late)
    files.replace(path, b"whole")
    assert swept and path.read_bytes() == b"whole" and left(tmp_path) == ["a"]
