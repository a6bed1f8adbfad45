"""What lblc and lblcr share: a cache by destination address that ages, and the test for a server that has too much."""

from __future__ import annotations

from typing import ClassVar, Final, Generic, TypeVar

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import FOREVER, HZ
from ipvssim.schedulers._base import Server, Service, Settings
from ipvssim.schedulers._hashing import fold, hash_32
from ipvssim.schedulers._ranked import LeastOverhead

BITS: Final = 10
FULL = 16 << BITS
"""Above so many entries those unused for STALE are dropped by the minute."""
BOUND = FULL * 3 // 2
"""So many entries are the most since 6.1.191."""
STALE: Final = 360 * HZ
WLC: Final = "least connection overhead / weight of all"
MINUTES: Final = 30
"""Every so many minutes entries unused for the tunable's time are dropped."""


@mypyc_attr(allow_interpreted_subclasses=True)
class CacheEntry(Part):
    """What is cached for one destination address; it holds its servers in the trash should they be deleted."""

    __slots__ = ("last_use",)

    def __init__(self, now: int) -> None:
        self.last_use = now

    def release(self) -> None:
        """It leaves the cache."""
        raise NotImplementedError


E = TypeVar("E", bound=CacheEntry)


@mypyc_attr(allow_interpreted_subclasses=True)
class Locality(LeastOverhead, Generic[E]):
    """The cache and its collector. What to do on hit and miss is the subclass's :meth:`pick`."""

    COLLECTS: ClassVar[bool] = True

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._cache: dict[bytes, E] = {}
        self._counted = 0
        self._bound = BOUND if self.settings.behaviours.bounded_caches else None
        self._rover = 0
        self._minutes = 1
        self._roomy: set[Server] = set()

    def expiration(self) -> int:
        """The tunable's time in jiffies."""
        raise NotImplementedError

    def removed(self, server: Server) -> None:
        super().removed(server)
        self._roomy.discard(server)

    def refresh(self) -> None:
        roomy = self._roomy
        for server in self._changed:
            if server.available and 2 * server.active < server.weight:
                roomy.add(server)
            else:
                roomy.discard(server)
        super().refresh()

    def over(self, server: Server) -> bool:
        """Whether it has more active connections than its weight while another has less than half of its own."""
        if server.active <= server.weight:
            return False
        if self._changed:
            self.refresh()
        return bool(self._roomy)

    def lack(self, server: Server) -> str:
        """What keeps an address from staying with its server, in words."""
        if server.weight <= 0:
            return "has weight 0"
        return f"has {server.active} active, more than its weight {server.weight}, and another has less than half of its own"

    def enough(self, server: Server) -> str:
        """Why an address stays with its server, in words."""
        load = f"has {server.active} active at weight {server.weight}"
        return load if server.active <= server.weight else f"{load}, but no other server has less than half of its own"

    def store(self, address: bytes, entry: E) -> None:
        """Cache it. Where nothing bounds the cache the kernel counts an entry that replaces another as one more, and never
        takes that back."""
        old = self._cache.get(address)
        if old is not None:
            old.release()
            if self._bound is not None:
                self._counted -= 1
        self._cache[address] = entry
        self._counted += 1

    @property
    def full(self) -> bool:
        """Whether no entry may be added."""
        return self._bound is not None and self._counted >= self._bound

    def collect(self, now: int) -> None:
        if self._minutes % MINUTES == 0:
            unused = now - self.expiration()
            self._drop([address for address, entry in self._cache.items() if entry.last_use <= unused])
            self._minutes = 1
        elif self._counted <= FULL:
            self._minutes += 1
        else:
            self._thin(now - STALE)

    def idle_collections(self, now: int, period: int) -> int:
        if not self._cache:
            return FOREVER
        oldest = min(entry.last_use for entry in self._cache.values())
        if self._counted > FULL:
            return 0 if self._minutes % MINUTES == 0 else _ticks(oldest + STALE - now, period)
        first = -self._minutes % MINUTES
        wanted = _ticks(oldest + self.expiration() - now, period)
        return first + -(-max(wanted - first, 0) // MINUTES) * MINUTES

    def skip_collections(self, times: int) -> None:
        if self._minutes % MINUTES == 0 and times:
            self._minutes = 1
            times -= 1
        if self._counted <= FULL:
            self._minutes = (self._minutes - 1 + times) % MINUTES + 1

    def close(self) -> None:
        self._drop(list(self._cache))

    def _thin(self, unused: int) -> None:
        """Drop what is unused since then, bucket by bucket, until enough is gone."""
        buckets: dict[int, list[bytes]] = {}
        for address, entry in self._cache.items():
            if entry.last_use <= unused:
                buckets.setdefault(hash_32(fold(address), BITS), []).append(address)
        goal = min((self._counted - FULL) * 4 // 3, FULL // 2)
        for _ in range(1 << BITS):
            self._rover = (self._rover + 1) % (1 << BITS)
            stale = buckets.get(self._rover, [])
            self._drop(stale)
            goal -= len(stale)
            if goal <= 0:
                break

    def _drop(self, addresses: list[bytes]) -> None:
        for address in addresses:
            self._cache.pop(address).release()
        self._counted -= len(addresses)


def _ticks(away: int, period: int) -> int:
    """How many ticks, the first of them now, are made before the first that is not before a moment so far away."""
    return max(-(-away // period), 0)
