"""Counters as an administrator sees them: at ticks, less a zero point, with decaying rates."""

from __future__ import annotations

import pytest

from ipvssim.clock import SECOND, Clock
from ipvssim.state.statistics import TICK, Counters, Estimator


def made() -> tuple[Clock, Estimator, Counters]:
    clock = Clock()
    estimator = Estimator(clock)
    counters = Counters()
    estimator.start(counters)
    return clock, estimator, counters


def test_nothing_shows_before_the_tick() -> None:
    """Ten connections are 0 until the estimator has looked."""
    clock, _, counters = made()
    counters.conns = 10
    clock.advance(TICK - 1)
    assert counters.shown()[0] == 0
    clock.advance(1)
    assert counters.shown()[0] == 10


@pytest.mark.parametrize(
    ("index", "amount", "shown"),
    [(3, 1280, [160, 120, 90]), (0, 10, [1]), (0, 4, [0]), (1, 1_000_000, [125000, 93750])],
)
def test_rates_decay_as_the_kernels(index: int, amount: int, shown: list[int]) -> None:
    """A burst shows an eighth a second, three quarters of that at the next tick, and so on."""
    clock, _, counters = made()
    setattr(counters, ("conns", "inpkts", "outpkts", "inbytes", "outbytes")[index], amount)
    found = []
    for _ in shown:
        clock.advance(TICK)
        found.append(counters.shown()[5 + index])
    assert found == shown


def test_zero_takes_the_last_tick_as_its_point() -> None:
    """What came since reappears; live values are never zeroed; rates start again."""
    clock, _, counters = made()
    counters.conns = 8
    clock.advance(TICK)
    counters.conns = 13
    counters.zero()
    assert counters.shown() == (0,) * 10 and counters.live()[0] == 13
    clock.advance(TICK)
    assert counters.shown()[0] == 5


def test_it_stands_still_while_disabled_or_stopped() -> None:
    """Disabled, no counter moves; stopped, one does not."""
    clock, estimator, counters = made()
    estimator.enabled = False
    counters.conns = 3
    clock.advance(10 * SECOND)
    assert counters.shown()[0] == 0
    estimator.enabled = True
    estimator.stop(counters)
    estimator.stop(counters)
    clock.advance(10 * SECOND)
    assert counters.shown()[0] == 0
    estimator.start(counters)
    clock.advance(TICK)
    assert counters.shown()[0] == 3


def test_saved_numbers_go_on() -> None:
    """Restored counters behave as the ones they were saved from; untouched ones save nothing."""
    clock, estimator, counters = made()
    assert counters.saved() is None
    counters.inbytes = 1280
    clock.advance(TICK)
    counters.inbytes += 7
    saved = counters.saved()
    assert saved is not None
    twin = Counters()
    twin.restore(saved)
    estimator.start(twin)
    clock.advance(3 * TICK)
    assert twin.shown() == counters.shown() and twin.live() == counters.live()
