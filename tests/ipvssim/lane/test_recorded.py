"""The recorded answers of Linux, given by the lane: each packet of a trace is a batch."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from pathlib import Path

import pytest

from ipvssim.doors.replay import SAME, Job, replay
from ipvssim.lane import compiled
from tests.ipvssim.lane.by_lane import by_lane
from tests.kernel.forms import PLAIN, others
from tests.places import DATA

TRACES = sorted((DATA / "traces").glob("*.trace"))
pytestmark = pytest.mark.skipif(not compiled, reason="the express lane's C was not built")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many packets of each kind the lanes had."""
    return by_lane(monkeypatch.setattr)


@pytest.mark.parametrize("part", range(4))
def test_every_recorded_answer_is_the_lanes(part: int, seen: Counter[str]) -> None:
    """Given the same commands and packets at the same times, the lane answers what Linux 6.1.176 answered."""
    for trace in TRACES[part::4]:
        out = StringIO()
        status = replay(Job(trace, trace.with_suffix(".kernel")), check=True, release="6.1.176", out=out)
        assert (trace.stem, status, out.getvalue()) == (trace.stem, SAME, "")
    assert min(seen["opened"], seen["known"], seen["general"]) > 3, seen


def test_each_form_of_the_simulator_tells_what_a_kernel_answered_otherwise(tmp_path: Path) -> None:
    """A campaign replays by all forms that are there: a recording that is not the kernel's is named by each."""
    good, bad = (tmp_path / f"{name}.trace" for name in ("good", "bad"))
    for trace in (good, bad):
        trace.write_bytes(TRACES[0].read_bytes())
        answers = TRACES[0].with_suffix(".kernel").read_text()
        trace.with_suffix(".kernel").write_text(answers.replace('"rc": 0', '"rc": 7', 1) if trace == bad else answers)
    assert len(others()) > 0
    for form in (PLAIN, *others()):
        found = form.differing([good, bad], "6.1.176")
        assert list(found) == ["bad"] and '"what": "rc"' in found["bad"]
    with pytest.raises(RuntimeError, match="express lane"):
        others()[0].differing([tmp_path / "gone.trace"], "6.1.176")
