"""Virtual time. Nothing else in the simulator reads a clock or draws a random number.

Time is an integer of microseconds since the simulated boot. Timers fire at whole jiffies (10 ms at HZ=100, as on the
modelled kernel), so a million of them cost a list each jiffy instead of a heap of a million entries. The kernel's timer
wheel may fire up to an eighth later than asked (kernel/time/timer.c, Linux 6.1); the simulator fires at the first jiffy
that is not early.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

HZ = 100
SECOND = 1_000_000
JIFFY = SECOND // HZ
_NEVER = -1


class Timer:
    """One callback that fires once, ``delay`` microseconds after it was last started; cheap to restart."""

    __slots__ = ("_argument", "_callback", "_clock", "_queued", "_slot")

    def __init__(self, clock: Clock, callback: Callable[[Any], object], argument: Any = None) -> None:
        self._clock = clock
        self._callback = callback
        self._argument = argument
        self._slot = _NEVER
        self._queued = _NEVER

    @property
    def pending(self) -> bool:
        """Whether it will fire."""
        return self._slot != _NEVER

    @property
    def expires(self) -> int:
        """When it fires, in microseconds; only while it is pending."""
        return self._slot * JIFFY

    def start(self, delay: int) -> None:
        """(Re)arm: fire ``delay`` microseconds from now. Moving a deadline later costs no queue operation."""
        clock = self._clock
        slot = -(-(clock.now + delay) // JIFFY)
        if slot <= clock.slot:
            slot = clock.slot + 1
        self._slot = slot
        if self._queued == _NEVER or slot < self._queued:
            clock._queue(self, slot)

    def cancel(self) -> None:
        """Do not fire."""
        self._slot = _NEVER


class Clock:
    """``now`` in microseconds, and ``random``, the one seeded source of chance."""

    __slots__ = ("_buckets", "_slots", "now", "random", "slot")

    def __init__(self, *, seed: int = 0) -> None:
        self.now = 0
        self.slot = 0
        """The jiffy whose timers have fired."""
        self.random = Random(seed)
        self._buckets: dict[int, list[Timer]] = {}
        self._slots: list[int] = []

    @property
    def jiffies(self) -> int:
        """Whole jiffies since boot."""
        return self.now // JIFFY

    def timer(self, callback: Callable[[Any], object], argument: Any = None) -> Timer:
        """A timer that is not armed yet."""
        return Timer(self, callback, argument)

    def advance(self, microseconds: int) -> None:
        """Let time pass, firing what falls due on the way in order of time."""
        self.advance_to(self.now + microseconds)

    def advance_to(self, when: int) -> None:
        """As :meth:`advance`, to a point in time; one that has passed changes nothing."""
        limit = when // JIFFY
        slots = self._slots
        while slots and slots[0] <= limit:
            self._fire(heappop(slots))
        self.slot = max(self.slot, limit)
        self.now = max(self.now, when)

    def _fire(self, slot: int) -> None:
        self.slot = slot
        self.now = max(self.now, slot * JIFFY)
        for timer in self._buckets.pop(slot):
            if timer._queued != slot:
                continue
            timer._queued = _NEVER
            if timer._slot == slot:
                timer._slot = _NEVER
                timer._callback(timer._argument)
            elif timer._slot != _NEVER:
                self._queue(timer, timer._slot)

    def _queue(self, timer: Timer, slot: int) -> None:
        timer._queued = slot
        bucket = self._buckets.get(slot)
        if bucket is None:
            self._buckets[slot] = [timer]
            heappush(self._slots, slot)
        else:
            bucket.append(timer)
