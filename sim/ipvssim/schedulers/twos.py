"""twos, the power of two choices: two servers are drawn, by weight, and the less loaded of them is taken.

State: the two numbers that the next pick will use. They are drawn before they are needed, so that :meth:`peek` sees what
:meth:`pick` will do. The kernel's own numbers are chance; what it does with them is this rule. A draw falls on the first
server in list order at which the sum of the usable weights reaches the number; 0 falls on the first, too, which so gets
slightly more than its share. Ties: the first of the two. The weighing is in 32 bits and wraps.
Kernel: net/netfilter/ipvs/ip_vs_twos.c, Linux 6.1. Debian builds the module from 6.12 on.
"""

from __future__ import annotations

from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings
from ipvssim.schedulers._ranked import overhead, overhead_of_active


class PowerOfTwo(Scheduler):
    """The less loaded of two that are drawn by weight."""

    NAME = "twos"
    RULE = "of two servers drawn by weight, the one of less overhead by weight; the first of equals"

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._cost = overhead_of_active(self.settings)
        self._drawn: tuple[int, int] | None = None

    def pick(self, flow: Flow) -> Server | None:
        found = self.peek(flow)
        if found is not None:
            self._drawn = None
        return found

    def peek(self, flow: Flow) -> Server | None:
        del flow
        usable = [server for server in self.service.servers() if server.weight > 0 and not server.overloaded]
        if not usable:
            return None
        span = sum(server.weight for server in usable) + 1
        first, second = self._draws()
        return self.chosen(usable, first * span >> 32, second * span >> 32)

    def chosen(self, usable: list[Server], first: int, second: int) -> Server:
        """The server for two numbers of 0 to the sum of the weights."""
        one, other = _reached(usable, first), _reached(usable, second)
        left = _signed(other.weight * overhead(one, self._cost))
        return other if left > _signed(one.weight * overhead(other, self._cost)) else one

    def state(self, flow: Flow) -> dict[str, int]:
        del flow
        span = sum(server.weight for server in self.service.servers() if server.weight > 0 and not server.overloaded) + 1
        first, second = self._draws()
        return {"first": first * span >> 32, "second": second * span >> 32}

    def _draws(self) -> tuple[int, int]:
        if self._drawn is None:
            self._drawn = self.settings.draw(), self.settings.draw()
        return self._drawn


def _reached(usable: list[Server], number: int) -> Server:
    """The first server at which the weights, added up in list order, reach the number."""
    for server in usable:
        number -= server.weight
        if number <= 0:
            return server
    raise AssertionError("the number is at most the sum of the weights")


def _signed(number: int) -> int:
    """A product as C's int has it."""
    return (number + 0x80000000 & 0xFFFFFFFF) - 0x80000000
