"""Virtual time: timers fire in order, at whole jiffies, and cost nothing to move later."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ipvssim.clock import JIFFY, SECOND, Clock


def test_a_timer_fires_at_the_first_jiffy_that_is_not_early() -> None:
    """Never before its delay, at most a jiffy after it."""
    clock = Clock()
    clock.advance(3)
    fired: list[int] = []
    clock.timer(lambda _: fired.append(clock.now)).start(25_000)
    clock.advance(25_000 - 1)
    assert not fired
    clock.advance(JIFFY)
    assert fired == [30_000]


def test_restarting_moves_and_cancelling_stops() -> None:
    """Only the last start counts; pending and expires say so."""
    clock = Clock()
    fired: list[object] = []
    timer = clock.timer(fired.append, "x")
    timer.start(SECOND)
    timer.start(3 * SECOND)
    assert timer.pending and timer.expires == 3 * SECOND
    clock.advance(2 * SECOND)
    assert not fired
    timer.start(SECOND // 2)
    clock.advance(SECOND // 2)
    assert fired == ["x"] and not timer.pending
    timer.start(SECOND)
    timer.cancel()
    clock.advance(5 * SECOND)
    assert fired == ["x"]


def test_a_callback_sees_its_own_time_and_may_rearm() -> None:
    """A periodic timer ticks at every period, however far the clock is moved at once."""
    clock = Clock()
    seen: list[int] = []

    def tick(_: object) -> None:
        seen.append(clock.now)
        timer.start(SECOND)

    timer = clock.timer(tick)
    timer.start(SECOND)
    clock.advance(5 * SECOND + 1)
    assert seen == [second * SECOND for second in range(1, 6)]
    assert clock.now == 5 * SECOND + 1 and clock.jiffies == 500


def test_the_past_is_left_alone() -> None:
    """Advancing to a time that has passed changes nothing."""
    clock = Clock()
    clock.advance(SECOND)
    clock.advance_to(5)
    assert clock.now == SECOND


def test_chance_comes_from_the_seed() -> None:
    """Two clocks of one seed draw the same."""
    assert Clock(seed=4).random.random() == Random(4).random() == Clock(seed=4).random.random()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 200_000), st.booleans()), max_size=60))
def test_any_history_of_timers_equals_a_simple_model(history: list[tuple[int, int, bool]]) -> None:
    """Starts, restarts, cancels and steps of time in any order fire what a sorted list of deadlines fires."""
    clock = Clock()
    fired: list[tuple[int, int]] = []
    timers = [clock.timer(lambda number: fired.append((clock.slot, number)), number) for number in range(5)]
    deadlines: dict[int, int] = {}
    expected: list[tuple[int, int]] = []
    for number, amount, stop in history:
        if number >= 5:
            now = clock.now + amount
            due = sorted((slot, one) for one, slot in deadlines.items() if slot <= now // JIFFY)
            expected += due
            for _, one in due:
                del deadlines[one]
            clock.advance(amount)
        elif stop:
            timers[number].cancel()
            deadlines.pop(number, None)
        else:
            timers[number].start(amount)
            deadlines[number] = max(-(-(clock.now + amount) // JIFFY), clock.now // JIFFY + 1)
    assert sorted(fired) == sorted(expected)
    assert [slot for slot, _ in fired] == sorted(slot for slot, _ in fired)
