"""Frames in the order of their times, where a capture has them otherwise.

dumpcap reads each of several interfaces in a thread of its own, and writes what it got from one of them in one go: a reply
may stand in the file long before its request. tcpdump has one interface, and its order is that of the packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from ipvssim.clock import SECOND
from ipvssim.doors.captures.frame import CaptureError, Frame

LATE = 3 * SECOND
"""How much later than its successors a frame may stand; dumpcap looks at each interface at least four times a second."""
_MOST = 1 << 25
"""Bytes that are held back at most: a fast network's three seconds are more than memory should pay for."""
_COST = 400
"""Bytes that holding a frame costs besides its own."""


def ordered(frames: Iterator[Frame], several: Callable[[], bool]) -> Iterator[Frame]:
    """The frames by their times, those of one time as they stand. While ``several`` says no, they pass as they are.

    Where ``frames`` ends in a :class:`CaptureError`, those before it come first.
    """
    held: list[tuple[int, int, Frame]] = []
    size = newest = 0
    wrong: CaptureError | None = None
    try:
        for frame in frames:
            if not held and not several():
                yield frame
                continue
            heappush(held, (frame.when, frame.number, frame))
            newest = max(newest, frame.when)
            size += len(frame.data) + _COST
            while held and (newest - held[0][0] > LATE or size > _MOST):
                first = heappop(held)[2]
                size -= len(first.data) + _COST
                yield first
    except CaptureError as found:
        wrong = found
    while held:
        yield heappop(held)[2]
    if wrong is not None:
        raise wrong
