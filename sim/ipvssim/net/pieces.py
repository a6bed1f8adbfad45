"""The pieces of one packet that have come so far, taken as the kernel takes them (net/ipv4/inet_fragment.c, Linux 6.1)."""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part

if TYPE_CHECKING:
    from ipvssim.net.packets import Packet

BUFFER: Final = 320
PACKET: Final = 256
"""What a kernel on a 64-bit machine keeps with a packet: behind its bytes (skb_shared_info), and beside them (sk_buff)."""
SMALL_HEAD, USER_MODE_HEAD = 704, 640
"""The one size that the cache for small packets' buffers has: in kernels that know wireless or Hyper-V's networks, as
distributions' do, and in Debian's user-mode-linux (LL_MAX_HEADER in include/linux/netdevice.h, net/core/skbuff.c)."""
_ROOM_AHEAD: Final = 64


@mypyc_attr(native_class=False)  # a compiled one has no weak references
class Sender:
    """Who sent fragments that wait: ``heard`` counts all fragments that came from it."""

    __slots__ = ("__weakref__", "heard")

    def __init__(self) -> None:
        self.heard = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class Pieces(Part):
    """The fragments of one packet. ``expires`` is the jiffy at which they are given up; ``memory`` what they cost the
    kernel, in bytes; ``heard`` how many fragments of their ``sender`` had come when the last of these did."""

    __slots__ = (
        "_meat", "_payloads", "_runs", "_starts", "_tail", "_told", "ecn", "expires", "first", "heard", "largest",
        "largest_df", "memory", "sender", "size",
    )  # fmt: skip

    def __init__(self, expires: int) -> None:
        self.expires = expires
        self.memory = self.heard = 0
        self.sender: Sender | None = None
        self.clear()

    def __bool__(self) -> bool:
        return bool(self._payloads)

    def clear(self) -> None:
        """Forget what has come."""
        self._payloads: dict[int, bytes] = {}
        self._starts: list[int] = []
        self._runs: dict[int, int] = {}
        self._tail = (0, 0)
        self.first: Packet | None = None
        self.size = 0
        """The packet's payload, as far as is known: no piece that has come ends behind it."""
        self._told = False
        """Whether the last piece has told the size."""
        self._meat = 0
        self.largest = self.largest_df = self.ecn = 0

    def fits(self, end: int, more: bool) -> bool:
        """Whether a piece that ends there agrees with those that came about the packet's size; if so, it is noted."""
        if more:
            if end > self.size:
                if self._told:
                    return False
                self.size = end
            return True
        if end < self.size or (self._told and end != self.size):
            return False
        self._told, self.size = True, end
        return True

    def put(self, offset: int, payload: bytes) -> str | None:
        """Take a piece in (``inet_frag_queue_insert``): "overlap" spoils the whole packet, "duplicate" only this piece.

        Pieces that came in order form a run, and a duplicate is what lies in one run. The cost grows with the logarithm of
        the number of runs.
        """
        end = offset + len(payload)
        if not self._starts or self._tail[1] < end:
            if offset < self._tail[1]:
                return "overlap"
            self._append(offset, end)
        else:
            place = bisect_right(self._starts, offset)
            if place and offset < self._runs[self._starts[place - 1]]:
                return "duplicate" if end <= self._runs[self._starts[place - 1]] else "overlap"
            if place < len(self._starts) and self._starts[place] < end:
                return "overlap"
            insort(self._starts, offset)
            self._runs[offset] = end
        self._payloads[offset] = payload
        self._meat += len(payload)
        return None

    def _append(self, offset: int, end: int) -> None:
        if self._starts and offset == self._tail[1]:
            self._runs[self._starts[-1]] = end
        else:
            self._starts.append(offset)
            self._runs[offset] = end
        self._tail = offset, end

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self._told and self._meat == self.size and self.first is not None

    def joined(self) -> bytes:
        """The payload of a packet of which nothing is missing."""
        return b"".join([self._payloads[at] for at in sorted(self._payloads)])

    def cuts(self, merged_into: int = 0, *, small_head: int = 0) -> tuple[int, ...]:
        """Where the pieces begin, the first left out, in bytes before the packet's end (headers may be put in front).

        ``merged_into``: the size of the first fragment, into whose buffer the kernel moves those that follow while they fit
        (``skb_try_coalesce``). ``small_head``: as for :func:`buffer_size`.
        """
        kept = sorted(self._payloads)[1:]
        size = buffer_size(merged_into, small_head=small_head)
        spare = size - BUFFER - _ROOM_AHEAD - merged_into if merged_into else 0
        place = 0
        while place < len(kept) and len(self._payloads[kept[place]]) <= spare:
            spare -= len(self._payloads[kept[place]])
            place += 1
        return tuple(self.size - at for at in kept[place:])


def buffer_size(packet: int, *, small_head: int = 0) -> int:
    """What kmalloc gives for a packet of so many bytes, with 64 in front of it and the bookkeeping behind it; or what the
    cache of ``small_head`` bytes gives, which later releases have (skb_small_head_cache, net/core/skbuff.c)."""
    wanted = (packet + _ROOM_AHEAD + 63 & ~63) + BUFFER
    if wanted <= small_head:
        return small_head
    return max(1 << (wanted - 1).bit_length(), 512)
