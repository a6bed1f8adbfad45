"""Packets for neighbours that do not answer: they wait, and their senders are told in the end.

After __neigh_event_send and neigh_timer_handler (net/core/neighbour.c), ipv4_link_failure (net/ipv4/route.c) and
ip6_link_failure (net/ipv6/route.c), Linux 6.1: three questions, a second apart, each with a timer of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import SECOND, Clock, Timer

QUESTIONS: Final = 3
"""So many times a neighbour is asked before it is given up."""
PATIENCE: Final = SECOND
"""From one question to the next."""
MOST: Final = 128
"""So many packets wait for one neighbour, the last ones: less than the kernel's 212,992 bytes of buffers hold."""
_Neighbour = tuple[str, bytes]
"""A device's name, and an address."""


def _untold(data: bytes) -> None:
    del data


@mypyc_attr(allow_interpreted_subclasses=True)
class Unresolved(Part):
    """The packets that wait. ``tell`` is called with the bytes of each whose neighbour did not answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[_Neighbour, list[bytes]] = {}
        self.tell: Callable[[bytes], object] = _untold

    def wait(self, device: str, address: bytes, data: bytes) -> None:
        """A packet for a neighbour that is not known."""
        neighbour = (device, address)
        waiting = self._waiting.get(neighbour)
        if waiting is None:
            waiting = self._waiting[neighbour] = []
            _Question(self, self._clock, neighbour).start(PATIENCE)
        elif len(waiting) >= MOST:
            del waiting[0]
        waiting.append(data)

    def failed(self, neighbour: _Neighbour) -> None:
        """Nobody has answered."""
        for data in self._waiting.pop(neighbour):
            self.tell(data)


@mypyc_attr(allow_interpreted_subclasses=True)
class _Question(Timer):
    """The timer of one neighbour's questions."""

    __slots__ = ("_left", "_neighbour", "_waiting")

    def __init__(self, waiting: Unresolved, clock: Clock, neighbour: _Neighbour) -> None:
        super().__init__(clock)
        self._waiting = waiting
        self._neighbour = neighbour
        self._left = QUESTIONS

    def fire(self) -> None:
        """There was no answer."""
        self._left -= 1
        if self._left:
            self.start(PATIENCE)
        else:
            self._waiting.failed(self._neighbour)
