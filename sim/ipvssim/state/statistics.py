"""Counters and their estimator, as net/netfilter/ipvs/ip_vs_est.c of Linux 6.1 has them.

Counters grow live; what an administrator sees is their state at the estimator's last tick (every 2 s), less the zero
point that ZERO sets. Rates are kept in the kernel's fixed point: 10 fraction bits for counts, 5 for bytes.
"""

from __future__ import annotations

from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import FOREVER, SECOND, Clock

TICK: Final = 2 * SECOND
_MASK64: Final = (1 << 64) - 1


@mypyc_attr(allow_interpreted_subclasses=True)
class Counters(Part):
    """The statistics of one destination, service or of the whole namespace.

    The first five are live and are counted up by the packet path. ``shown`` and ``rates`` are what reports read.
    """

    __slots__ = (
        "_rate", "_ticked", "_zero", "conns", "inbytes", "inpkts", "outbytes", "outpkts", "running",
    )  # fmt: skip

    def __init__(self) -> None:
        self.conns = self.inpkts = self.outpkts = self.inbytes = self.outbytes = 0
        self.running = False
        """Whether the estimator visits it; :meth:`Estimator.start` sets it."""
        self._ticked: tuple[int, ...] = _NOTHING
        self._zero: tuple[int, ...] = _NOTHING
        self._rate: tuple[int, ...] = _NOTHING

    def live(self) -> tuple[int, ...]:
        """conns, inpkts, outpkts, inbytes, outbytes at this moment, never zeroed."""
        return (self.conns, self.inpkts, self.outpkts, self.inbytes, self.outbytes)

    def tick(self, ticks: int = 1) -> None:
        """So many ticks in a row: the first takes the live values over and moves each rate a quarter of the way to the
        growth since the last; the others find no growth, so that the rates fall until they stand still."""
        live, ticked, rate = self.live(), self._ticked, self._rate
        if live == ticked and rate == _NOTHING:
            return
        conns, inpkts, outpkts, inbytes, outbytes = rate
        rate = (  # each by itself: a table of a thousand servers has a thousand of these, every two seconds
            conns + ((((live[0] - ticked[0]) << 9) - conns) >> 2),
            inpkts + ((((live[1] - ticked[1]) << 9) - inpkts) >> 2),
            outpkts + ((((live[2] - ticked[2]) << 9) - outpkts) >> 2),
            inbytes + ((((live[3] - ticked[3]) << 4) - inbytes) >> 2),
            outbytes + ((((live[4] - ticked[4]) << 4) - outbytes) >> 2),
        )
        for _ in range(ticks - 1):
            fallen = tuple([old + (-old >> 2) for old in rate])
            if fallen == rate:
                break
            rate = fallen
        self._rate = rate
        self._ticked = live

    def zero(self) -> None:
        """ZERO: the last tick's values become the zero point, rates are cleared; what came since reappears at the next."""
        self._zero = self._ticked
        self._rate = _NOTHING

    def shown(self) -> tuple[int, ...]:
        """The ten values of a report: five counters as of the last tick, five rates (a second)."""
        if self._ticked is _NOTHING:
            return _NOTHING_SHOWN
        conns, inpkts, outpkts, inbytes, outbytes = self._rate
        return (
            *[now - zero for now, zero in zip(self._ticked, self._zero, strict=True)],
            (conns + 0x1FF) >> 10,
            (inpkts + 0x1FF) >> 10,
            (outpkts + 0x1FF) >> 10,
            (inbytes + 0xF) >> 5,
            (outbytes + 0xF) >> 5,
        )

    @property
    def settled(self) -> bool:
        """Whether ticks change nothing until something is counted again."""
        return self._rate == _NOTHING and self._ticked == self.live()

    def saved(self) -> list[list[int]] | None:
        """Everything as plain numbers, for :meth:`restore`; None where all is zero."""
        if self._ticked is _NOTHING and not any(self.live()):
            return None
        return [list(self.live()), list(self._ticked), list(self._zero), list(self._rate)]

    def restore(self, saved: list[list[int]]) -> None:
        """Take saved numbers over."""
        live, self._ticked, self._zero, self._rate = map(tuple, saved)
        self.conns, self.inpkts, self.outpkts, self.inbytes, self.outbytes = live


_NOTHING: Final[tuple[int, ...]] = (0, 0, 0, 0, 0)
_NOTHING_SHOWN: Final[tuple[int, ...]] = (0,) * 10


@mypyc_attr(allow_interpreted_subclasses=True)
class Estimator(Part):
    """Ticks every 2 s from the namespace's creation, over all counters that run; stands still while it is disabled.
    ``exact``: a thread sees to that, and no timer of the wheel (since 6.2)."""

    def __init__(self, clock: Clock, *, exact: bool = False) -> None:
        self.enabled = True
        """net.ipv4.vs.run_estimation."""
        self._running: dict[Counters, None] = {}
        clock.every(TICK, self, exact=exact).start(TICK if exact else None)

    def start(self, counters: Counters) -> None:
        """Visit these at every tick (cheap to call again)."""
        if not counters.running:
            counters.running = True
            self._running[counters] = None

    def stop(self, counters: Counters) -> None:
        """Leave these out: their destination went to the trash; counters and rates stand as they are."""
        if counters.running:
            counters.running = False
            del self._running[counters]

    def idle(self, now: int) -> int:
        """Nothing else looks at counters while time passes, so no tick need be waited for (:class:`ipvssim.clock.Task`)."""
        del now
        return FOREVER

    def skip(self, ticks: int) -> None:
        """So many ticks in a row."""
        if self.enabled:
            for counters in self._running:
                counters.tick(ticks)

    def tick(self) -> None:
        """One tick."""
        self.skip(1)
