"""Virtual time. Nothing else in the simulator reads a clock or draws a random number.

Time is an integer of microseconds since the namespace began. Timers fire at whole jiffies (10 ms at HZ=100, as on the
modelled kernel), so a million of them cost a list each jiffy instead of a heap of a million entries.

The kernel's timers stand on a wheel of eight levels (kernel/time/timer.c, Linux 6.1). The longer a timer is, the coarser is
the level that it stands on: at HZ=100 one of a second fires at an eighth jiffy, one of a minute at a 512th, and never early.
Which jiffies those are depends on how long the kernel has been up. A clock that knows its ``uptime`` has the wheel, with any
HZ; one that does not fires at the first jiffy that is not early.

What happens again and again (the estimator, the sweeps of trash and caches) is :class:`Periodic`: it says how many of its
next ticks will change nothing, and those cost nothing. So does a year in which nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, Protocol

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part

HZ: Final = 100
RATES: Final = (HZ, 250, 1000)
"""So many jiffies a second kernels are built for."""
SECOND: Final = 1_000_000
JIFFY: Final = SECOND // HZ
NEVER: Final = -1
"""No jiffy: of a timer that is not started."""
_WRAP: Final = 1 << 32
_BEFORE: Final = 300
"""The kernel's jiffies begin so many seconds before they need more than 32 bits (INITIAL_JIFFIES,
include/linux/jiffies.h, Linux 6.1)."""
_FINE: Final = 63
"""A timer of fewer jiffies fires at any jiffy; each further level is for timers eight times as long, at every eighth jiffy
of the level before."""
_COARSER: Final = 3
_COARSEST: Final = 21
"""Powers of two: from one level to the next, and of the last one's jiffies. Beyond HZ=100 there is one more."""
FOREVER: Final = 1 << 100
"""More ticks, and more jiffies, than any clock is moved."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Timer(Part):
    """Something that happens once, ``delay`` microseconds after it was last started; cheap to restart. A subclass says what
    (:meth:`fire`): so a connection is its own timer, and a million of them are a million objects, not two."""

    __slots__ = ("_clock", "_expires", "_queued", "_slot")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slot = NEVER
        self._queued = NEVER
        self._expires = NEVER

    def fire(self) -> None:
        """Its time has come."""
        raise NotImplementedError

    @property
    def pending(self) -> bool:
        """Whether it will fire."""
        return self._slot != NEVER

    @property
    def expires(self) -> int:
        """When its time is over, in microseconds; only while it is pending. It fires then, or when the wheel gets there."""
        return self._expires * self._clock.jiffy

    def start(self, delay: int) -> None:
        """(Re)arm: fire ``delay`` microseconds from now. Moving a deadline later costs no queue operation."""
        clock = self._clock
        if clock.born != NEVER:
            wait = -(-delay // clock.jiffy)
            self.resume_late(clock.now // clock.jiffy + wait, wait)
            return
        slot = -(-(clock.now + delay) // clock.jiffy)
        if slot <= clock.slot:
            slot = clock.slot + 1
        self._slot = self._expires = slot
        if self._queued == NEVER or slot < self._queued:
            clock._queue(self, slot)

    def cancel(self) -> None:
        """Do not fire."""
        self._slot = NEVER

    def resume(self, slot: int) -> None:
        """Arm: fire at the jiffy ``slot``, whose timers have not all fired."""
        self._slot = self._expires = slot
        if self._queued == NEVER or slot < self._queued:
            self._clock._queue(self, slot)

    def resume_late(self, expires: int, delay: int) -> None:
        """Arm, as if it had been started ``delay`` jiffies before the jiffy ``expires``: fire at that one, or when the wheel
        gets there. On the wheel a timer that is moved stands last in its new bucket, and who stands last fires first; one
        that is moved within its bucket keeps its place (``__mod_timer``)."""
        clock = self._clock
        if clock.born == NEVER:
            self.resume(expires)
            return
        self._expires = expires
        self._slot = slot = clock.lapse(expires, delay)
        if self._queued != slot:
            clock._queue(self, slot)

    def withdraw(self) -> None:
        """Do not fire, and let the clock forget it where that costs nothing: where nothing was queued behind it."""
        self._slot = NEVER
        bucket = self._clock._buckets.get(self._queued)
        if bucket and bucket[-1] is self:
            bucket.pop()
            self._queued = NEVER


@mypyc_attr(allow_interpreted_subclasses=True)
class Alarm(Timer):
    """A timer that calls ``callback`` with ``argument``."""

    __slots__ = ("_argument", "_callback")

    def __init__(self, clock: Clock, callback: Callable[[Any], object], argument: Any = None) -> None:
        super().__init__(clock)
        self._callback = callback
        self._argument = argument

    def fire(self) -> None:
        """Call back."""
        self._callback(self._argument)


class Task(Protocol):
    """Something to be done every so often."""

    def idle(self, now: int) -> int:
        """How many of the next ticks, the first of them at ``now`` (microseconds), change nothing that anything else sees,
        if nothing else happens; FOREVER: all."""

    def skip(self, ticks: int) -> None:
        """So many ticks pass that :meth:`idle` answered for."""

    def tick(self) -> None:
        """A tick, the clock standing at it."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Periodic(Part):
    """A task that is ticked every ``period`` microseconds from :meth:`start` on, until :meth:`stop`."""

    __slots__ = ("_asked", "_clock", "due", "period", "task")

    def __init__(self, clock: Clock, period: int, task: Task, *, exact: bool = False) -> None:
        self._clock = clock
        self._asked = period
        self.period = period // clock.jiffy if exact else clock.period(period)
        """In jiffies of the clock."""
        self.task = task
        self.due = NEVER
        """The jiffy of its next tick."""

    @property
    def running(self) -> bool:
        """Whether it will tick."""
        return self.due != NEVER

    def start(self, first: int | None = None) -> None:
        """Let the first tick be a period from now, or ``first`` microseconds; nothing where it runs already."""
        clock = self._clock
        if self.running:
            return
        if first is None:
            self._run(clock.firing(self._asked))
        else:
            self._run(-(-clock.now // clock.jiffy) + max(-(-first // clock.jiffy), 1))

    def join(self) -> None:
        """Let it tick as if it had been started at time 0; nothing where it runs already."""
        if not self.running:
            clock = self._clock
            wait, now = self._asked // clock.jiffy, -(-clock.now // clock.jiffy)
            first = clock.lapse(wait, wait)
            self._run(first if now < first else now - (now - first) % self.period + self.period)

    def _run(self, due: int) -> None:
        self.due = due
        self._clock._running.append(self)
        self._clock._look()

    def stop(self) -> None:
        """Tick no more."""
        if self.running:
            self.due = NEVER
            self._clock._running.remove(self)
            self._clock._look()

    def next_change(self) -> int:
        """The jiffy of the first tick that changes anything, if nothing else happens."""
        return self.due + self.task.idle(self.due * self._clock.jiffy) * self.period

    def pass_to(self, slot: int) -> None:
        """Let the ticks up to and including ``slot`` pass idly."""
        ticks = (slot - self.due) // self.period + 1
        if ticks > 0:
            self.due += ticks * self.period
            self.task.skip(ticks)


@mypyc_attr(allow_interpreted_subclasses=True)
class Clock(Part):
    """``now`` in microseconds, and ``random``, the one seeded source of chance. ``uptime`` is how long the kernel has been
    up at time 0, in microseconds; None: it is not known, and timers are as exact as jiffies are. ``hz`` is how many of those
    it counts a second."""

    __slots__ = (
        "_buckets", "_coarsest", "_due", "_running", "_slots", "born", "hz", "jiffy", "now", "random", "slot",
    )  # fmt: skip

    def __init__(self, *, seed: int = 0, uptime: int | None = None, hz: int = HZ) -> None:
        self.hz = hz
        self.jiffy = SECOND // hz
        """A jiffy of this clock, in microseconds."""
        self.born = _WRAP - _BEFORE * hz + uptime // self.jiffy if uptime is not None else NEVER
        """The kernel's jiffies at time 0; NEVER: they are not known, and there is no wheel."""
        self._coarsest = _COARSEST if hz <= HZ else _COARSEST + _COARSER
        self.now = 0
        self.slot = 0
        """The jiffy whose timers have fired."""
        self.random = Random(seed)
        self._buckets: dict[int, list[Timer]] = {}
        self._slots: list[int] = []
        self._running: list[Periodic] = []
        self._due = FOREVER

    @property
    def hundredths(self) -> int:
        """Whole hundredths of a second that have passed, which are the jiffies of HZ=100."""
        return self.now // JIFFY

    def timer(self, callback: Callable[[Any], object], argument: Any = None) -> Alarm:
        """A timer that is not armed yet."""
        return Alarm(self, callback, argument)

    def every(self, period: int, task: Task, *, exact: bool = False) -> Periodic:
        """What ticks a task every ``period`` microseconds (whole jiffies), once it is started: by a timer that is started
        again as it fires, so that each period is longer on the wheel, but for an ``exact`` one."""
        return Periodic(self, period, task, exact=exact)

    # --- the wheel ---

    def lapse(self, expires: int, delay: int) -> int:
        """The jiffy at which a timer fires that was started ``delay`` jiffies before the jiffy ``expires``
        (``calc_wheel_index``)."""
        if self.born == NEVER:
            return expires
        shift = 0
        while delay >= _FINE << shift and shift < self._coarsest:
            shift += _COARSER
        if delay >= _FINE << self._coarsest:  # beyond the wheel: as long as it can be
            expires -= delay - ((_FINE - 1) << self._coarsest)
        return ((self.born + expires >> shift) + 1 << shift) - self.born

    def firing(self, delay: int) -> int:
        """The jiffy at which a timer fires that is started now for so many microseconds."""
        if self.born == NEVER:
            return max(-(-(self.now + delay) // self.jiffy), self.slot + 1)
        wait = -(-delay // self.jiffy)
        return self.lapse(self.now // self.jiffy + wait, wait)

    def period(self, delay: int) -> int:
        """How many jiffies pass from one firing to the next of a timer that is started for so many microseconds, whole
        jiffies, as it fires."""
        wait = delay // self.jiffy
        first = self.lapse(wait, wait)
        return self.lapse(first + wait, wait) - first

    # --- what happens ---

    @property
    def next_event(self) -> int:
        """The first jiffy at which a timer may fire or a tick is due; :data:`FOREVER`: none."""
        return min(self._slots[0] if self._slots else FOREVER, self._due)

    def awaits_only(self, timer: Timer) -> bool:
        """Whether nothing else than ``timer`` is waited for at :attr:`next_event`."""
        if not self._slots or self._due <= self._slots[0]:
            return False
        bucket = self._buckets[self._slots[0]]
        return len(bucket) == 1 and bucket[0] is timer

    def advance(self, microseconds: int) -> None:
        """Let time pass, firing what falls due on the way in order of time."""
        self.advance_to(self.now + microseconds)

    def advance_to(self, when: int) -> None:
        """As :meth:`advance`, to a point in time; one that has passed changes nothing."""
        limit = when // self.jiffy
        if limit == self.slot and limit < self._due:  # mostly: no jiffy begins, and what is queued is for a later one
            if when > self.now:
                self.now = when
            return
        slots = self._slots
        while True:
            slot = slots[0] if slots and slots[0] <= limit else limit
            if self._due <= slot:
                self._tick(slot)
            elif slots and slots[0] <= limit:
                self._fire(heappop(slots))
            else:
                break
        self.slot = max(self.slot, limit)
        self.now = max(self.now, when)

    def _tick(self, limit: int) -> None:
        """What happens periodically, up to ``limit`` or to the first jiffy at which a tick changes anything."""
        slot = min([limit + 1, *(one.next_change() for one in self._running if one.due <= limit)])
        for one in list(self._running):
            if one.running and one.due < slot:
                one.pass_to(slot - 1)
        if slot <= limit:
            self.slot = slot
            self.now = max(self.now, slot * self.jiffy)
            for one in list(self._running):
                if one.due == slot:
                    one.due += one.period
                    one.task.tick()
        self._look()

    def _look(self) -> None:
        """Find when the next tick is due."""
        self._due = min((one.due for one in self._running), default=FOREVER)

    def _fire(self, slot: int) -> None:
        self.slot = slot
        self.now = max(self.now, slot * self.jiffy)
        bucket = self._buckets.pop(slot)
        for timer in reversed(bucket) if self.born != NEVER else bucket:
            if timer._queued != slot:
                continue
            timer._queued = NEVER
            if timer._slot == slot:
                timer._slot = NEVER
                timer.fire()
            elif timer._slot != NEVER:
                self._queue(timer, timer._slot)

    def _queue(self, timer: Timer, slot: int) -> None:
        timer._queued = slot
        bucket = self._buckets.get(slot)
        if bucket is None:
            self._buckets[slot] = [timer]
            heappush(self._slots, slot)
        else:
            bucket.append(timer)
