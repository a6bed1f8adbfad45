"""twos, the power of two choices: two servers are drawn, by weight, and the less loaded of them is taken.

State: the two numbers that the next pick will use. They are drawn before they are needed, so that :meth:`peek` sees what
:meth:`pick` will do. The kernel's own numbers are chance; what it does with them is this rule. A draw falls on the first
server in list order at which the sum of the usable weights reaches the number; 0 falls on the first, too, which so gets
slightly more than its share. Ties: the first of the two. The weighing is in 32 bits and wraps.
Kernel: net/netfilter/ipvs/ip_vs_twos.c, Linux 6.1. Debian builds the module from 6.12 on.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings
from ipvssim.schedulers._ranked import overhead, overhead_of_active


@mypyc_attr(allow_interpreted_subclasses=True)
class PowerOfTwo(Scheduler):
    """The less loaded of two that are drawn by weight."""

    NAME: ClassVar[str] = "twos"
    RULE: ClassVar[str] = "of two servers drawn by weight, the one of less overhead by weight; the first of equals"

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._cost = overhead_of_active(self.settings)
        self._drawn: tuple[int, int] | None = None
        self._known: list[Server] | None = None
        """The usable servers in list order; None where a server changed since they were looked for."""
        self._sums: list[int] = []
        """Of each of them: its weight and those of all before it."""

    def added(self, server: Server) -> None:
        self._known = None

    def removed(self, server: Server) -> None:
        self._known = None

    def edited(self, server: Server) -> None:
        self._known = None

    def loaded(self, server: Server) -> None:
        self._known = None

    def pick(self, flow: Flow) -> Server | None:
        found = self.peek(flow)
        if found is not None:
            self._drawn = None
        return found

    def peek(self, flow: Flow) -> Server | None:
        del flow
        usable = self._usable()
        return self.chosen(usable, *self._numbers(usable)) if usable else None

    def chosen(self, usable: list[Server], first: int, second: int) -> Server:
        """The server for two drawn numbers. Where the sum of the weights has wrapped a draw may reach nobody: it then stands
        for the last server, and weighs nothing."""
        one, other = self._reached(usable, first), self._reached(usable, second)
        weight, load = (one.weight, overhead(one, self._cost)) if one is not None else (-1, 0)
        if other is not None and _signed(other.weight * load) > _signed(weight * overhead(other, self._cost)):
            return other
        return one if one is not None else usable[-1]

    def state(self, flow: Flow) -> dict[str, int]:
        del flow
        first, second = self._numbers(self._usable())
        return {"first": first, "second": second}

    def _usable(self) -> list[Server]:
        known = self._known
        if known is None:
            known = [server for server in self.service.servers() if server.weight > 0 and not server.overloaded]
            self._known, self._sums = known, list(accumulate([server.weight for server in known]))
        return known

    def _reached(self, usable: list[Server], number: int) -> Server | None:
        """The first server at which the weights, added up in list order, reach the number."""
        if usable is self._known and self._sums[-1] < 0x7FFFFFFF:
            return usable[bisect_left(self._sums, number)]
        for server in usable:
            number = _signed(number - server.weight)
            if number <= 0:
                return server
        return None

    def _numbers(self, usable: list[Server]) -> tuple[int, int]:
        """The two draws as numbers from 0 to the sum of the weights."""
        if self._drawn is None:
            self._drawn = self.settings.draw(), self.settings.draw()
        span = (self._sums[-1] if usable else 0) + 1 & 0xFFFFFFFF
        return _signed(self._drawn[0] * span >> 32), _signed(self._drawn[1] * span >> 32)


def _signed(number: int) -> int:
    """A number as C's int has it."""
    return (number + 0x80000000 & 0xFFFFFFFF) - 0x80000000
