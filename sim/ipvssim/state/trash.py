"""The trash: real servers that were deleted and are not freed yet (net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).

A server that is added again while it lies here comes back with its connections and counters. Every 60 s the kernel looks
through it: what nothing refers to is stamped, and freed once its stamp is 120 s old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import FOREVER, SECOND, Clock
from ipvssim.state.debug_log import DebugLog
from ipvssim.state.services import Identity, RealServer, VirtualService

TRASH_PERIOD: Final = 60 * SECOND
TRASH_IDLE: Final = 120 * SECOND
_Key = tuple[int, bytes, int, Identity]
"""A server's family, address and port, and what it was a server of."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Trash(Part):
    """The deleted servers of one namespace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[_Key, list[RealServer]] = {}
        self._deleted: dict[RealServer, int] = {}
        """When each was deleted, in microseconds; the last one last."""
        self._sweeps = clock.every(TRASH_PERIOD, self)
        self.log: DebugLog | None = None
        self.freed_hook: Callable[[RealServer], None] | None = None
        """Called with each server that was freed, where there is a log."""

    def __iter__(self) -> Iterator[RealServer]:
        """The last deleted first, as the kernel's list has them."""
        return reversed(self._deleted)

    def __len__(self) -> int:
        return len(self._deleted)

    def put(self, server: RealServer) -> None:
        """Keep a server that was deleted."""
        if self.log is not None:
            self.log.moving(server)
        if not self._waiting:
            self._sweeps.stop()
            self._sweeps.start()
        server.idle_since = None
        self._waiting.setdefault(_key_of(server), []).append(server)
        self._deleted[server] = self._clock.now

    def put_back(self, server: RealServer, deleted: int, idle: int | None) -> None:
        """Keep a saved one, the last deleted last: ``deleted`` and ``idle`` are how many microseconds ago it was deleted and
        stamped (None: it is not stamped). :meth:`resume` then starts the sweeps."""
        now = self._clock.now
        server.idle_since = None if idle is None else now - idle
        self._waiting.setdefault(_key_of(server), []).append(server)
        self._deleted[server] = now - deleted

    def resume(self, sweep: int) -> None:
        """Let the next sweep be in so many microseconds."""
        self._sweeps.start(sweep)

    @property
    def sweep(self) -> int:
        """Microseconds to the next sweep, while there is anything."""
        return self._sweeps.due * self._clock.jiffy - self._clock.now

    def holds(self, service: VirtualService, family: int, address: bytes, port: int) -> bool:
        """Whether there is a server of that address and port which belonged to a service of that key."""
        if not self._waiting:
            return False
        key = _key(family, address, port, service.identity)
        if self.log is not None:
            self._tell_looked_at(key)
        return key in self._waiting

    def take(self, service: VirtualService, family: int, address: bytes, port: int) -> RealServer | None:
        """Take such a server out, the last that was put in; None where there is none."""
        if not self._waiting:
            return None
        key = _key(family, address, port, service.identity)
        waiting = self._waiting.get(key)
        if not waiting:
            return None
        server = waiting.pop()
        if not waiting:
            del self._waiting[key]
        del self._deleted[server]
        server.idle_since = None
        server.of = service.identity
        if self.log is not None:
            self.log.revived(server)
        return server

    # --- what is known of one ---

    def deleted(self, server: RealServer) -> int:
        """When it was deleted, in microseconds; KeyError where it does not lie here."""
        return self._deleted[server]

    def freed(self, server: RealServer) -> int | None:
        """When it will be freed if nothing comes to refer to it, in microseconds; None while something does."""
        if server.referenced:
            return None
        sweep, period = self._sweeps.due * self._clock.jiffy, self._sweeps.period * self._clock.jiffy
        if server.idle_since is None:
            return sweep + -(-(TRASH_IDLE - self._clock.jiffy) // period) * period
        early = server.idle_since + TRASH_IDLE - self._clock.jiffy - sweep
        return sweep + max(-(-early // period), 0) * period

    # --- the sweeps ---

    def idle(self, now: int) -> int:
        """Sweeps do nothing while everything is referred to (:class:`ipvssim.clock.Task`)."""
        del now
        return FOREVER if self._waiting and all(server.referenced for server in self) else 0

    def skip(self, ticks: int) -> None:
        """Idle sweeps leave nothing behind."""

    def tick(self) -> None:
        """Every 60 s: stamp what nothing refers to, free what was stamped 120 s or more ago."""
        now = self._clock.now
        for server in [server for server in self if self._expired(server, now)]:
            key = _key_of(server)
            self._waiting[key].remove(server)
            if not self._waiting[key]:
                del self._waiting[key]
            del self._deleted[server]
            if self.log is not None:
                self.log.freed(server)
            if self.freed_hook is not None:
                self.freed_hook(server)
        if not self._waiting:
            self._sweeps.stop()

    def _expired(self, server: RealServer, now: int) -> bool:
        if server.referenced:
            return False
        if server.idle_since is None:
            server.idle_since = now
            return False
        return now - server.idle_since >= TRASH_IDLE - self._clock.jiffy

    def _tell_looked_at(self, key: _Key) -> None:
        """Those that the kernel looks at, until it finds the one."""
        assert self.log is not None
        for server in self:
            self.log.still_there(server)
            if _key_of(server) == key:
                return


def _key(family: int, address: bytes, port: int, of: Identity) -> _Key:
    """What revival compares. Of a firewall mark's two services, one for each family, either revives what was the other's
    (``ip_vs_trash_get_dest``)."""
    if of[1]:
        of = (0, of[1], of[2], of[3], of[4])
    return family, address, port, of


def _key_of(server: RealServer) -> _Key:
    return _key(server.family, server.address, server.port, server.of)
