"""The entries of connection tracking, found by what packets of either side carry (net/netfilter/nf_conntrack_core.c, 6.1).

An entry is found by two keys: that of the packets which opened it, and that of the answers to them. A key is the protocol
with source, destination and both ports, as :attr:`ipvssim.net.packets.Packet.key` has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import Behaviours
from ipvssim.clock import HZ, Clock

if TYPE_CHECKING:
    from ipvssim.path.tracking.sequences import Shifts
    from ipvssim.state.tracking_sysctls import TrackingSysctls

Key = tuple[int, bytes]
ORIGINAL: Final = 0
REPLY: Final = 1
"""The two sides of an entry: that of its first packet, and the other."""
_SWEEP: Final = 60 * HZ
"""How often the kernel looks for entries whose time is over (``gc_worker``), where it has few; when, is its own affair."""
_LONGEST: Final = 0x7FFFFFFF
"""Jiffies: of a longer life the time that it ends at is one that has passed."""
_LEFT: Final = 8 * HZ
"""How long one stays that is over, where the kernel looks at a part of the table at a time: between none and 16 seconds, as
chance has it, so this is what is right most often."""


class Outcome(Enum):
    """What a protocol says of a packet: it belongs to the entry, it does not (and then has none), or it begins anew."""

    VALID = "valid"
    INVALID = "invalid"
    AGAIN = "again"


@mypyc_attr(allow_interpreted_subclasses=True)
class Entry(Part):
    """One tracked flow. ``talk`` is what its protocol remembers of it.

    ``confirmed`` says that it has been in the table: its first packet went through. ``replied`` says that the other side
    has answered, ``assured`` that both have spoken for good. ``expires`` is in jiffies. ``shifts`` are there where a
    helper may change the length of what the sides say.
    """

    __slots__ = ("assured", "confirmed", "expires", "keys", "replied", "shifts", "talk")

    def __init__(self, key: Key, reply: Key, talk: object) -> None:
        self.keys = [key, reply]
        self.talk = talk
        self.confirmed = self.replied = self.assured = False
        self.expires = 0
        self.shifts: Shifts | None = None

    def is_flow_of(self, other: Entry) -> bool:
        """Whether both are of one flow, one way or the other."""
        return self.keys == other.keys or self.keys[::-1] == other.keys


@mypyc_attr(allow_interpreted_subclasses=True)
class Entries(Part):
    """The table of confirmed entries. One whose time is over is not found any more, but it still stands in the way of a new
    one with a key of its own (``__nf_conntrack_confirm``) until somebody looks for it, or all are swept."""

    def __init__(self, clock: Clock, sysctls: TrackingSysctls, behaviours: Behaviours) -> None:
        self.clock = clock
        self.sysctls = sysctls
        self.behaviours = behaviours
        self._swept = clock.hundredths
        self._sides: dict[Key, tuple[Entry, int]] = {}

    def __len__(self) -> int:
        return len(self._sides) // 2

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entry, side in self._sides.values() if side == ORIGINAL)

    def find(self, key: Key) -> tuple[Entry, int] | None:
        """The entry with that key and the side that has it. One whose time is over goes when it is met."""
        found = self._sides.get(key)
        if found is not None and found[0].expires <= self.clock.hundredths:
            self.kill(found[0])
            return None
        return found

    def clash(self, entry: Entry) -> Entry | None:
        """The entry that has one of this one's keys already, be its time over or not."""
        if self.clock.hundredths - self._swept >= _SWEEP:
            self._sweep()
        for key in entry.keys:
            found = self._sides.get(key)
            if found is not None and not self._is_left(found[0]):
                return found[0]
        return None

    def _sweep(self) -> None:
        now = self.clock.hundredths
        self._swept = now - (now - self._swept) % _SWEEP
        for entry in [entry for entry, _ in self._sides.values() if entry.expires <= self._swept]:
            self.kill(entry)

    def _is_left(self, entry: Entry) -> bool:
        """Whether the kernel has swept it meanwhile, in parts; then it goes."""
        swept = not self.behaviours.whole_sweeps and self.clock.hundredths - entry.expires >= _LEFT
        if swept:
            self.kill(entry)
        return swept

    def add(self, entry: Entry) -> None:
        """Its first packet has gone through."""
        entry.confirmed = True
        for side, key in enumerate(entry.keys):
            self._sides[key] = entry, side

    def squeeze_in(self, entry: Entry) -> bool:
        """Where only its first key is another's: its answers find it for a second. False: its other key is taken, too
        (``nf_ct_resolve_clash_harder``, net/netfilter/nf_conntrack_core.c, Linux 6.12)."""
        if entry.keys[REPLY] in self._sides:
            return False
        entry.confirmed = True
        entry.expires = self.clock.hundredths + HZ
        self._sides[entry.keys[REPLY]] = entry, REPLY
        return True

    def kill(self, entry: Entry) -> None:
        """Take it out; one that was never in is let be."""
        for key in entry.keys:
            found = self._sides.get(key)
            if found is not None and found[0] is entry:
                del self._sides[key]

    def refresh(self, entry: Entry, life: int) -> None:
        """It lives for so many jiffies from now on. What is long for want of a sign is over at once: the time that it is
        added to has 32 bits (``__nf_ct_refresh_acct``, net/netfilter/nf_conntrack_core.c, Linux 6.1)."""
        entry.expires = self.clock.hundredths + (life if life <= _LONGEST else life - (1 << 32))

    def shorten(self, entry: Entry, life: int) -> None:
        """It lives for so many jiffies more at most."""
        entry.expires = min(entry.expires, self.clock.hundredths + life)


def turned(key: Key) -> Key:
    """The key of an answer."""
    protocol, data = key
    middle = len(data) - 4 >> 1
    return protocol, data[middle:-4] + data[:middle] + data[-2:] + data[-4:-2]
