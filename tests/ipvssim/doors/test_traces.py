"""Recorded answers of real kernels against the simulator's: tests/data/traces and traces-RELEASE, byte for byte."""

from __future__ import annotations

from io import StringIO
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from ipvssim.doors.replay import SAME, Job, Replay, replay
from tests.ipvssim.worlds import udp
from tests.places import DATA

TRACES = sorted((DATA / "traces").glob("*.trace"))
REQUEST = udp(source=IPv6Address("2001:db8:c::1").packed, target=IPv6Address("2001:db8:80::1:0").packed)
LATER = sorted((DATA / "traces-6.1.192").glob("*.trace"))


@pytest.mark.parametrize("trace", TRACES, ids=[trace.stem for trace in TRACES])
def test_every_recorded_answer_is_the_simulators(trace: Path) -> None:
    """Given the same commands and packets at the same times, the simulator answers what Linux 6.1.176 answered."""
    out = StringIO()
    status = replay(Job(trace, trace.with_suffix(".kernel")), check=True, release="6.1.176", out=out)
    assert (status, out.getvalue()) == (SAME, "")


@pytest.mark.parametrize("trace", LATER, ids=[trace.stem for trace in LATER])
def test_the_later_kernels_answers_are_the_simulators_too(trace: Path) -> None:
    """With the switch, it answers what Linux 6.1.192 answered, which is not what 6.1.176 would have."""
    recording = trace.with_suffix(".kernel")
    out = StringIO()
    assert (replay(Job(trace, recording), check=True, release="6.1.192", out=out), out.getvalue()) == (SAME, "")
    if trace.stem.startswith("corners"):
        assert replay(Job(trace, recording), check=True, release="6.1.176", out=StringIO()) != SAME


def test_there_are_recordings_of_every_kind() -> None:
    """The sample covers schedulers, states, forwarding of both families, persistence, trash, fragments and options."""
    kinds = {trace.stem.rsplit("-", 1)[0] for trace in TRACES}
    assert {"states", "forward", "six", "persist", "trash", "ops", "sched", "real-opt", "tracked"} <= kinds


def test_a_flood_takes_the_time_that_it_lasted() -> None:
    """Its packets come evenly over the recorded seconds: those of the last second are there still."""
    flood = {"do": "flood", "hex": REQUEST.hex(), "count": 100, "mark": 7}
    left = {}
    for lasted in (0, 4):
        replayed = Replay({"marks": [7]})
        for words in ("-A -f 7 -6 -s rr", "-a -f 7 -6 -r [fd00:10::a]:53 -g", "--set 0 0 1"):
            assert not replayed.answer({"do": "ipvsadm", "args": words.split()})["rc"]
        assert replayed.answer(flood, 1, lasted) == {"left": 100}
        left[lasted] = len(replayed.answer({"do": "conns"})["conns"])
    assert left == {0: 100, 4: 25}
