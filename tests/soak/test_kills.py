"""Some kills of each command that writes; ``make soak`` has ten thousand."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.places import ROOT
from tests.soak.cases import CASES
from tests.soak.processes import Length, aimed

KILLS = os.environ.get("IPVSNL_SOAK", "60")


def test_kills_lose_nothing_and_leave_nothing() -> None:
    """Nothing acknowledged is lost, nothing is half there, what is said is so; the next run cleans up and completes. (The
    laboratory's runs take seconds: the campaign has those.)"""
    command = [sys.executable, "-m", "tests.soak.kills", "--kills", KILLS, "--seed", "7", "--only", "^(?!ipvssim lab)"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert all(f"| {case.name} |" in done.stdout for case in CASES if "lab" not in case.name)


def test_shots_are_aimed_at_the_writing() -> None:
    """Two thirds of the moments lie between a command's first write and its end, none behind it."""
    of = Length(events=1000, writing=100, seconds=1.0)
    shots = [shot for seed in range(300) for shot in aimed(random.Random(seed), of, [9])]
    late = [shot for shot in shots if shot.writing]
    assert 170 < len(late) < 230
    assert all(1 <= shot.event <= (100 if shot.writing else 1000) for shot in shots)


def test_a_law_can_be_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is written in its place is found half there."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from ipvsnl import _files as files
    from tests.soak import kills
    from tests.soak.cases import World

    def in_place(path: Path, data: bytes, *, mode: int | None = None) -> os.stat_result:
        with path.open("wb") as file:
            for at in range(0, len(data), 64):
                file.write(data[at : at + 64])
                file.flush()
        return path.stat()

    monkeypatch.setattr(files, "replace", in_place)
    monkeypatch.setenv("XDG_STATE_HOME", os.environ.get("XDG_STATE_HOME", ""))
    (case,) = [case for case in CASES if case.name == "-E"]
    with TemporaryDirectory() as folder:
        campaign = kills.Campaign(case, World(Path(folder)))
        with pytest.raises(kills.Broken):
            for number in range(60):
                campaign.kill(random.Random(number))
