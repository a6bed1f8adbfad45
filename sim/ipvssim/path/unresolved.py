"""Packets for neighbours that do not answer: they wait, and their senders are told in the end.

After __neigh_event_send and neigh_timer_handler (net/core/neighbour.c), ipv4_link_failure (net/ipv4/route.c) and
ip6_link_failure (net/ipv6/route.c), Linux 6.1: three questions, a second apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import SECOND, Clock

PATIENCE: Final = 3 * SECOND
"""From the first packet for a neighbour until it is given up."""
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
            self._clock.timer(self._failed, neighbour).start(PATIENCE)
        elif len(waiting) >= MOST:
            del waiting[0]
        waiting.append(data)

    def _failed(self, neighbour: _Neighbour) -> None:
        for data in self._waiting.pop(neighbour):
            self.tell(data)
