"""Figures of known loads: the indexes' bounds, intervals, disruption and evening out of outcomes made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvssim.lab.run.loop import COLUMNS
from ipvssim.lab.run.measures import interval, jain, peak
from ipvssim.lab.run.outcome import Change, Outcome, grids
from ipvssim.lab.show.figures import FIGURES, figure
from ipvssim.lab.show.terminal import sparkline

LOADS = st.lists(st.integers(0, 10_000), min_size=1, max_size=50).filter(any)


@given(LOADS)
def test_indexes_stay_within_their_bounds(loads: list[int]) -> None:
    """Jain's index is between 1/n and 1, max/mean between 1 and n; both are 1 exactly where all loads are equal."""
    size = len(loads)
    assert 1 / size - 1e-12 <= jain(loads) <= 1 + 1e-12
    assert 1 - 1e-12 <= peak(loads) <= size + 1e-12
    assert (jain(loads) > 1 - 1e-12) == (len(set(loads)) == 1)


def test_indexes_at_their_ends() -> None:
    """One has everything: 1/n and n. Nobody has anything: neither is a number."""
    assert (jain([0, 0, 7, 0]), peak([0, 0, 7, 0])) == (0.25, 4)
    assert np.isnan([jain([0, 0]), peak([0, 0])]).all()


def test_an_interval_covers_the_mean() -> None:
    """A 95 % interval of normal samples covers their true mean in about 95 % of cases; one sample has none."""
    random = np.random.default_rng(1)
    covered = [abs(mean - 3) <= half for mean, half in (interval(random.normal(3, 1, 5)) for _ in range(2000))]
    assert 0.93 < np.mean(covered) < 0.97
    assert interval([2.0])[0] == 2
    assert np.isnan(interval([2.0])[1])
    assert np.isnan(interval([float("nan")])[0])


def test_skew_begins_anew_with_an_event() -> None:
    """Unevenness counts what was opened since the last event, by the weights of each moment."""
    samples = [
        [[opened, other], [0, 0], [0, 0], [0, 0], [2, 1], [0, 0]] for opened, other in ((0, 0), (4, 2), (4, 2), (8, 2))
    ]
    change = Change("change", 2, {0, 1}, set(), 0)
    outcome = Outcome(
        "rr", 1, ["a", "b"], np.array([0.0, 1, 2, 3]), grids(samples, 2), [change], np.zeros((0, 2), int), [], {}, True
    )
    assert outcome.grids.keys() == set(COLUMNS)
    assert outcome.skew[1] == 1
    assert np.isnan(outcome.skew[[0, 2]]).all()
    assert outcome.skew[3] == 2


def test_figures_are_shown_as_they_are_meant() -> None:
    """Shares as per cent, with their interval; nothing as a dash; a second event's by its number."""
    assert FIGURES["moved"].shown(0.123, 0.01) == "12.3 ± 1.0 %"
    assert FIGURES["peak"].shown(float("nan")) == "-"
    assert figure("moved_2").words.endswith("(event 2)")
    assert figure("moved_2").short == "moved needlessly (2)"
    assert figure("mine").short == figure("mine").words == "mine"


@pytest.mark.parametrize(
    ("values", "line"), [([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"), ([float("nan"), 4], " █"), ([], " ")]
)
def test_sparklines(values: list[float], line: str) -> None:
    """From the lowest block to the highest; what is unknown is blank."""
    assert sparkline(np.array(values, float)) == line
