"""The trash: real servers that were deleted and are not freed yet (net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).

A server that is added again while it lies here comes back with its connections and counters. Every 60 s the kernel looks
through it: what nothing refers to is stamped, and freed once its stamp is 120 s old.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from ipvssim.clock import FOREVER, JIFFY, SECOND, Clock
from ipvssim.state.services import RealServer, VirtualService

TRASH_PERIOD = 60 * SECOND
TRASH_IDLE = 120 * SECOND


class Trash:
    """The deleted servers of one namespace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[tuple[object, ...], list[RealServer]] = {}
        self._sweeps = clock.every(TRASH_PERIOD, self)

    def __iter__(self) -> Iterator[RealServer]:
        return chain.from_iterable(self._waiting.values())

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, server: RealServer) -> None:
        """Keep a server that was deleted."""
        server.idle_since = None
        if not self._waiting:
            self._sweeps.stop()
            self._sweeps.start()
        self._waiting.setdefault((server.family, server.address, server.port, server.of), []).append(server)

    def holds(self, service: VirtualService, family: int, address: bytes, port: int) -> bool:
        """Whether there is a server of that address and port which belonged to a service of that key."""
        return bool(self._waiting) and (family, address, port, service.identity) in self._waiting

    def take(self, service: VirtualService, family: int, address: bytes, port: int) -> RealServer | None:
        """Take such a server out, the last that was put in; None where there is none."""
        if not self._waiting:
            return None
        key = (family, address, port, service.identity)
        waiting = self._waiting.get(key)
        if not waiting:
            return None
        server = waiting.pop()
        if not waiting:
            del self._waiting[key]
        server.idle_since = None
        return server

    def idle(self, now: int) -> int:
        """Sweeps do nothing while everything is referred to (:class:`ipvssim.clock.Task`)."""
        del now
        return FOREVER if self._waiting and all(server.referenced for server in self) else 0

    def skip(self, ticks: int) -> None:
        """Idle sweeps leave nothing behind."""

    def tick(self) -> None:
        """Every 60 s: stamp what nothing refers to, free what was stamped 120 s or more ago."""
        now = self._clock.now
        for key, waiting in list(self._waiting.items()):
            kept = [server for server in waiting if not self._expired(server, now)]
            if kept:
                self._waiting[key] = kept
            else:
                del self._waiting[key]
        if not self._waiting:
            self._sweeps.stop()

    def _expired(self, server: RealServer, now: int) -> bool:
        if server.referenced:
            return False
        if server.idle_since is None:
            server.idle_since = now
            return False
        return now - server.idle_since >= TRASH_IDLE - JIFFY
