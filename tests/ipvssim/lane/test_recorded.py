"""The recorded answers of Linux, given by the lane: each packet of a trace is a batch."""

from __future__ import annotations

from collections import Counter
from io import StringIO

import pytest

from ipvssim.doors.replay import SAME, Job, replay
from ipvssim.lane import Lane, compiled, receive_many
from ipvssim.path.director import Director
from ipvssim.path.result import Result
from tests.places import DATA

TRACES = sorted((DATA / "traces").glob("*.trace"))
KINDS = ("general", "known", "opened", "reply")
pytestmark = pytest.mark.skipif(not compiled, reason="the express lane's C was not built")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every packet that comes to a director goes through a lane of its own; how many of each kind there were."""
    lanes: dict[Director, Lane] = {}
    receive, kinds, inside = Director.receive, Counter[str](), [False]

    def through(director: Director, data: bytes, on: str = "client", mark: int = 0) -> Result:
        if inside[0] or mark:
            return receive(director, data, on, mark)
        lane = lanes.setdefault(director, Lane(director, lambda data, on: receive(director, data, on or "client")))
        inside[0] = True
        try:
            batch = receive_many(lane, [data], on)
        finally:
            inside[0] = False
        kinds[KINDS[batch.kinds[0]]] += 1
        result: Result = batch[0]
        return result

    monkeypatch.setattr(Director, "receive", through)
    return kinds


@pytest.mark.parametrize("part", range(4))
def test_every_recorded_answer_is_the_lanes(part: int, seen: Counter[str]) -> None:
    """Given the same commands and packets at the same times, the lane answers what Linux 6.1.176 answered."""
    for trace in TRACES[part::4]:
        out = StringIO()
        status = replay(Job(trace, trace.with_suffix(".kernel")), check=True, release="6.1.176", out=out)
        assert (trace.stem, status, out.getvalue()) == (trace.stem, SAME, "")
    assert min(seen["opened"], seen["known"], seen["general"]) > 3, seen
