"""wrr, weighted round robin: passes over the list for servers of at least the current weight, which falls pass by pass.

State: the last picked (``_last``, at first before the list's head), the current weight ``_current``, the greatest common
divisor ``_step`` of the weights, by which it falls, and ``_top``, where it starts. All begin anew at every change of a
server, but for the current weight, which is kept within bounds: so a first cycle may begin in its middle. Ties: list order.
Kernel: net/netfilter/ipvs/ip_vs_wrr.c, Linux 6.1.

The kernel makes the passes one by one. Here a pass that would find nobody is skipped: the current weight is always 1 modulo
the step, all weights are multiples of the step, so the next pass that finds anyone is that of the highest usable weight
less the step plus one, if that is lower. ``_pass`` holds the servers of the present pass; it grows as the weight falls.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from math import gcd
from typing import Any, ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings, label
from ipvssim.schedulers._line import Line

Entry = tuple[int, int, "Server"]


@mypyc_attr(allow_interpreted_subclasses=True)
class WeightedRoundRobin(Scheduler):
    """Each server in turn, as often in a cycle as its weight has steps."""

    NAME: ClassVar[str] = "wrr"
    RULE: ClassVar[str] = (
        "next usable server in list order with at least the current weight, which falls by the step after each pass"
    )

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._weights: dict[Server, int] = {}
        self._counts: Counter[int] = Counter()
        self._entries: dict[Server, Entry] = {}
        self._usable: list[Entry] = []
        self._pass = _Pass()
        self._last: Server | None = None
        self._divisor = self._highest = 0
        for server in service.servers():
            self._weigh(server)
            self._place(server)
        self._step = self._divisor or 1
        self._top = self._current = self._highest - self._step + 1

    def added(self, server: Server) -> None:
        self._weigh(server)
        self._place(server)
        self._begin()

    def removed(self, server: Server) -> None:
        self._forget(self._weights.pop(server, 0))
        self._place(server)
        self._begin()

    def edited(self, server: Server) -> None:
        self.added(server)

    def loaded(self, server: Server) -> None:
        if server.overloaded == (server in self._entries):
            self._place(server)

    def pick(self, flow: Flow) -> Server | None:
        if not self._usable:
            self._give_up()
            return None
        self._pass.reach(self._current, self._usable)
        picked = self._pass.after(self._last)
        if picked is None:
            lower, findable = self._current - self._step, -self._usable[0][0] - self._step + 1
            self._current = min(lower, findable) if lower > 0 else findable
            self._pass.reach(self._current, self._usable)
            picked = self._pass.after(None)
        self._last = picked
        return picked

    def state(self, flow: Flow) -> dict[str, Any]:
        return {
            "last": label(self._last),
            "current_weight": self._current,
            "top_weight": self._top,
            "step": self._step,
        }

    def why(self, flow: Flow, picked: Server | None) -> str:
        if picked is None:
            return self.nobody()
        from copy import copy

        twin = copy(self)
        twin.pick(flow)
        self._pass.reach(self._current, self._usable)
        goes_on = self._pass.after(self._last) is picked
        after = f" after {label(self._last)}" if self._last is not None else ""
        said = f"wrr takes {label(picked)} (weight {picked.weight})"
        passed = self.passed_over("; ")
        if goes_on:
            return f"{said}: the next in list order{after} with at least the current weight {self._current}{passed}"
        change = f"which {'falls to' if twin._current < self._current else 'starts again at'} {twin._current}"
        return f"{said}: no usable server{after} has at least the current weight {self._current}, {change}{passed}"

    def _give_up(self) -> None:
        """Nobody is usable: all passes down to weight 1 were in vain. They end at the head, or, begun in the last, there."""
        if self._top and (self._last is None or self._current > 1):
            self._last = None
            self._current = self._top

    def _begin(self) -> None:
        """A server changed: back to the head, and the current weight into its new bounds."""
        self._last = None
        self._step = step = self._divisor or 1
        self._top = self._highest - step + 1
        if self._current > self._top or not self._current:
            self._current = self._top
        elif step > 1:
            self._current = self._current // step * step + 1

    def _weigh(self, server: Server) -> None:
        """Take its weight into the divisor and the highest, in place of the one it had."""
        old, new = self._weights.get(server, 0), server.weight
        self._weights[server] = new
        if new:
            self._counts[new] += 1
            self._divisor = gcd(self._divisor, new)
            self._highest = max(self._highest, new)
        self._forget(old)

    def _forget(self, weight: int) -> None:
        if not weight:
            return
        self._counts[weight] -= 1
        if not self._counts[weight]:
            del self._counts[weight]
            self._divisor = gcd(*self._counts)
            self._highest = max(self._counts, default=0)

    def _place(self, server: Server) -> None:
        """Among the usable, by weight, and into the present pass; or out of them."""
        old = self._entries.pop(server, None)
        if old is not None:
            del self._usable[bisect_left(self._usable, old)]
            self._pass.drop(server)
        if server.weight > 0 and not server.overloaded and server.available:
            self._entries[server] = entry = (-server.weight, server.order, server)
            insort(self._usable, entry)
            self._pass.admit(server)


@mypyc_attr(allow_interpreted_subclasses=True)
class _Pass(Line):
    """The usable servers of at least the weight ``least``."""

    __slots__ = ("_least",)

    def __init__(self) -> None:
        super().__init__()
        self._least = 1 << 32

    def admit(self, server: Server) -> None:
        """A server became usable."""
        if server.weight >= self._least:
            self.put(server)

    def reach(self, weight: int, usable: list[Entry]) -> None:
        """Become the pass of that weight; ``usable`` has the heaviest first."""
        if weight == self._least:
            return
        if weight > self._least:
            self.clear()
        self._least = weight
        have, all_ = len(self), bisect_right(usable, -weight, key=_lightness)
        if have < all_:
            self.extend([entry[2] for entry in usable[have:all_]])


def _lightness(entry: Entry) -> int:
    return entry[0]
