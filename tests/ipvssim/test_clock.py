"""Virtual time: timers fire in order, at whole jiffies, and cost nothing to move later."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ipvssim.clock import JIFFY, SECOND, Clock, Periodic


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
    assert clock.now == 5 * SECOND + 1 and clock.hundredths == 500


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


# --- the kernel's wheel ---


class Wheel:
    """The kernel's, jiffy by jiffy: levels of 64 buckets, each turned eight times as slowly as the one before
    (kernel/time/timer.c). It says when each timer fires."""

    def __init__(self, jiffies: int, hz: int) -> None:
        self.jiffies = jiffies
        self.levels = 8 if hz <= 100 else 9
        self.buckets: dict[tuple[int, int], list[int]] = {}
        self.where: dict[int, tuple[int, int]] = {}
        self.fired: list[tuple[int, int]] = []

    def start(self, number: int, delay: int) -> None:
        """mod_timer(number, jiffies + delay)."""
        last = self.levels - 1
        level = next((level for level in range(self.levels) if delay < 63 << 3 * level), last)
        delay = delay if delay < 63 << 3 * last else 62 << 3 * last
        bucket = level, (self.jiffies + delay >> 3 * level) + 1 & 63
        if self.where.get(number) != bucket:
            self.stop(number)
            self.buckets.setdefault(bucket, []).insert(0, number)
            self.where[number] = bucket

    def stop(self, number: int) -> None:
        """del_timer."""
        if number in self.where:
            self.buckets[self.where.pop(number)].remove(number)

    def tick(self) -> None:
        """The next jiffy: the coarsest level is emptied first."""
        self.jiffies += 1
        for level in reversed(range(self.levels)):
            if not self.jiffies & (1 << 3 * level) - 1:
                for number in self.buckets.pop((level, self.jiffies >> 3 * level & 63), []):
                    del self.where[number]
                    self.fired.append((self.jiffies, number))


@given(
    st.integers(0, 1 << 20),
    st.sampled_from((100, 250, 1000)),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5000), st.integers(0, 3)), max_size=40),
)
def test_any_history_on_the_wheel_equals_the_kernels(up: int, hz: int, history: list[tuple[int, int, int]]) -> None:
    """Starts, restarts, cancels and time, in any order: each timer fires at the jiffy at which the kernel's wheel turns to
    it."""
    jiffy, began = SECOND // hz, (1 << 32) - 300 * hz + up
    clock, wheel = Clock(uptime=up * jiffy, hz=hz), Wheel(began, hz)
    fired: list[tuple[int, int]] = []
    timers = [clock.timer(lambda number: fired.append((clock.slot, number)), number) for number in range(5)]
    for number, amount, kind in history:
        if number >= 5:
            clock.advance(amount * jiffy)
            for _ in range(amount):
                wheel.tick()
        elif not kind:
            timers[number].cancel()
            wheel.stop(number)
        else:
            delay = amount >> (0, 0, 6, 3)[kind]
            timers[number].start(delay * jiffy)
            wheel.start(number, delay)
            assert timers[number].expires == clock.now + delay * jiffy
    assert sorted((slot + began, number) for slot, number in fired) == sorted(wheel.fired)


def test_the_last_one_of_a_bucket_fires_first() -> None:
    """One that is moved within its bucket keeps its place there, one that is moved into it comes first."""
    clock = Clock(uptime=0)
    fired: list[str] = []
    first, second, third = (clock.timer(fired.append, name) for name in ("first", "second", "third"))
    third.start(SECOND)
    clock.advance(50 * SECOND)
    for timer in (first, second):
        timer.start(60 * SECOND)
    third.start(60 * SECOND)
    first.start(60 * SECOND + JIFFY)
    clock.advance(70 * SECOND)
    assert fired == ["third", "third", "second", "first"]


def test_how_late_the_wheel_is() -> None:
    """Where a timer is started as it fires, a second is 1.04 of them, two are 2.08, a minute is 61.44."""
    clock = Clock(uptime=0)
    assert [clock.period(seconds * SECOND) for seconds in (1, 2, 60)] == [104, 208, 6144]
    assert [Clock().period(seconds * SECOND) for seconds in (1, 2, 60)] == [100, 200, 6000]


def test_a_timer_beyond_the_wheel_fires_early() -> None:
    """The longest that the wheel can hold are 62 * 2^21 jiffies, which are fifteen days (WHEEL_TIMEOUT_MAX)."""
    clock = Clock(uptime=0)
    fired: list[int] = []
    clock.timer(lambda _: fired.append(clock.slot)).start(20 * 86400 * SECOND)
    clock.advance(20 * 86400 * SECOND)
    assert len(fired) == 1 and 62 << 21 < fired[0] <= 63 << 21


class Ticks:
    """A task that notes its ticks."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.seen = clock, list[int]()

    def idle(self, now: int) -> int:
        return 0

    def skip(self, ticks: int) -> None:
        raise AssertionError("nothing is idle")

    def tick(self) -> None:
        self.seen.append(self.clock.slot)


@given(st.none() | st.integers(0, 1 << 16), st.integers(0, 700), st.sampled_from((1, 2, 60)))
def test_a_periodic_is_a_timer_that_is_started_as_it_fires(up: int | None, before: int, seconds: int) -> None:
    """Both tick at the same jiffies, by the wheel and without; one that joins ticks as if it had begun at time 0."""
    clock = Clock(uptime=None if up is None else up * JIFFY)
    now, from_zero = list[int](), list[int]()

    def again(seen: list[int]) -> None:
        seen.append(clock.slot)
        (timer if seen is now else first).start(seconds * SECOND)

    timer, first = clock.timer(again, now), clock.timer(again, from_zero)
    first.start(seconds * SECOND)
    clock.advance(before * JIFFY)
    timer.start(seconds * SECOND)
    task, joined = Ticks(clock), Ticks(clock)
    Periodic(clock, seconds * SECOND, task).start()
    Periodic(clock, seconds * SECOND, joined).join()
    clock.advance(400 * SECOND)
    assert task.seen == now
    assert joined.seen == [slot for slot in from_zero if slot > before]
