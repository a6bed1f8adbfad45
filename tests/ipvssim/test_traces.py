"""Recorded answers of the real kernel against the simulator's: tests/data/traces, byte for byte."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from ipvssim.replay import SAME, Job, replay

TRACES = sorted((Path(__file__).parent.parent / "data" / "traces").glob("*.trace"))


@pytest.mark.parametrize("trace", TRACES, ids=[trace.stem for trace in TRACES])
def test_every_recorded_answer_is_the_simulators(trace: Path) -> None:
    """Given the same commands and packets at the same times, the simulator answers what Linux 6.1.176 answered."""
    out = StringIO()
    status = replay(Job(trace, trace.with_suffix(".kernel")), check=True, release="6.1.176", out=out)
    assert (status, out.getvalue()) == (SAME, "")


def test_there_are_recordings_of_every_kind() -> None:
    """The sample covers schedulers, states, forwarding of both families, persistence, trash, fragments and options."""
    kinds = {trace.stem.rsplit("-", 1)[0] for trace in TRACES}
    assert {"states", "forward", "six", "persist", "trash", "ops", "sched", "real-opt"} <= kinds
