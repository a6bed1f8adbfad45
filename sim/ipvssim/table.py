"""Virtual services, their real servers and the trash, in the kernel's order (net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).

The table knows no netlink and no packets: ``genl`` validates and calls it, the packet path looks services up in it.
Addresses are 4 or 16 bytes in network order, ports are in host order; the family follows from an address's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim.clock import JIFFY, SECOND, Clock, Timer
from ipvssim.entries import F_HASHED, F_ONEPACKET, F_PERSISTENT, Buckets, RealServer, VirtualService
from ipvssim.schedulers import Scheduler, Settings
from ipvssim.schedulers.hashing import fold
from ipvssim.statistics import Counters, Estimator

TRASH_PERIOD = 60 * SECOND
TRASH_IDLE = 120 * SECOND
COLLECT_PERIOD = 60 * SECOND


class Table:
    """The services of one network namespace. ``hash_key`` is the secret byte that orders its dumps; ``settings`` is what
    schedulers see of the namespace."""

    def __init__(self, clock: Clock, *, hash_key: int = 0, settings: Settings | None = None) -> None:
        self.clock = clock
        self.settings = settings if settings is not None else Settings()
        self.hash_key = hash_key
        self.estimator = Estimator(clock)
        self.total = Counters()
        self.estimator.start(self.total)
        self.by_address: dict[tuple[int, bytes, int], VirtualService] = {}
        """(protocol, address, port) to service; the length of the address tells the family."""
        self.by_mark: dict[tuple[int, int], VirtualService] = {}
        """(family, fwmark) to service."""
        self.ftp_services = 0
        self.port_zero_services = 0
        """How many services have port 21, port 0 (fwmarks have 0): what the packet path's wildcard lookups ask first."""
        self.ever_used = False
        """Whether a service was ever added in this namespace."""
        self._of_family = {AF_INET: 0, AF_INET6: 0}
        self._address_buckets = Buckets()
        self._mark_buckets = Buckets()
        self._trash: dict[tuple[object, ...], list[RealServer]] = {}
        self._trash_timer: Timer = clock.timer(self._sweep)
        self._newest = 0
        self.deleted_hook: Callable[[], None] | None = None
        """Called after destinations went to the trash (the packet path's expire_nodest_conn)."""

    # --- services ---

    def find(self, family: int, fwmark: int | None, protocol: int, address: bytes, port: int) -> VirtualService | None:
        """The service of exactly that key; a fwmark of 0 is none."""
        if fwmark:
            return self.by_mark.get((family, fwmark))
        return self.by_address.get((protocol, address, port))

    def services(self) -> Iterator[VirtualService]:
        """All services in dump order: the address table, then the fwmark table."""
        return chain(self._address_buckets, self._mark_buckets)

    def service_count(self, family: int) -> int:
        """Services of one family (the packet path's hooks exist while there is one)."""
        return self._of_family[family]

    def add_service(self, service: VirtualService, scheduler: type[Scheduler] | None) -> None:
        """Hash a new service and start its scheduler."""
        self._set_scheduler(service, scheduler)
        self.ever_used = True
        if service.fwmark:
            self.by_mark[service.family, service.fwmark] = service
            self._mark_buckets.add(self._bucket(service), service)
        else:
            self.by_address[service.protocol, service.address, service.port] = service
            self._address_buckets.add(self._bucket(service), service)
        self._count(service, 1)
        self.estimator.start(service.counters)

    def edit_service(self, service: VirtualService, scheduler: type[Scheduler] | None) -> None:
        """Give it a scheduler; the same one keeps its state. ValueError: the scheduler refuses, the old one stays."""
        name = scheduler.NAME if scheduler else "none"
        if name != service.scheduler_name:
            self._set_scheduler(service, scheduler)

    def delete_service(self, service: VirtualService) -> None:
        """Unhash it and move its destinations to the trash."""
        if service.fwmark:
            del self.by_mark[service.family, service.fwmark]
            self._mark_buckets.remove(self._bucket(service), service)
        else:
            del self.by_address[service.protocol, service.address, service.port]
            self._address_buckets.remove(self._bucket(service), service)
        self._count(service, -1)
        self.estimator.stop(service.counters)
        if service.scheduler is not None:
            service.scheduler.close()
            service.scheduler = None
        for server in list(service.servers()):
            self._discard(server)
        service.destinations.clear()
        if self.deleted_hook is not None:
            self.deleted_hook()

    def flush(self) -> None:
        """Delete every service."""
        for service in list(self.services()):
            self.delete_service(service)

    # --- destinations ---

    def add_server(self, service: VirtualService, family: int, address: bytes, port: int) -> RealServer:
        """A destination at the head of the list, taken from the trash where it lies there: its caller then writes its
        parameters and calls :meth:`server_added`."""
        server = self._revive(service, family, address, port)
        if server is None:
            server = RealServer(family, address, port)
            server.of = service.identity
        elif server.service is not service:
            server.counters.zero()
        server.service = service
        self._newest -= 1
        server.order = self._newest
        return server

    def server_added(self, server: RealServer) -> None:
        """Link a destination whose parameters are written, and tell the scheduler."""
        service = server.service
        assert service is not None
        server.available = True
        service.destinations[server.address, server.port] = server
        self.estimator.start(server.counters)
        if service.scheduler is not None:
            service.scheduler.added(server)

    def put_back(self, service: VirtualService, server: RealServer) -> None:
        """Link a saved destination, oldest first, to a service that is yet to be added: no scheduler is told of it."""
        server.service = service
        server.of = service.identity
        self._newest -= 1
        server.order = self._newest
        server.available = True
        service.destinations[server.address, server.port] = server
        self.estimator.start(server.counters)

    def delete_server(self, server: RealServer) -> None:
        """Unlink it, tell the scheduler, and move it to the trash."""
        service = server.service
        assert service is not None
        del service.destinations[server.address, server.port]
        server.available = False
        if service.scheduler is not None:
            service.scheduler.removed(server)
        self._discard(server)
        if self.deleted_hook is not None:
            self.deleted_hook()

    # --- the trash ---

    def trash(self) -> Iterator[RealServer]:
        """Deleted destinations that have not been freed."""
        return chain.from_iterable(self._trash.values())

    def in_trash(self, service: VirtualService, family: int, address: bytes, port: int) -> bool:
        """Whether :meth:`add_server` would revive: its address is then not checked again."""
        return bool(self._trash) and (family, address, port, service.identity) in self._trash

    def _revive(self, service: VirtualService, family: int, address: bytes, port: int) -> RealServer | None:
        if not self._trash:
            return None
        key = (family, address, port, service.identity)
        waiting = self._trash.get(key)
        if not waiting:
            return None
        server = waiting.pop()
        if not waiting:
            del self._trash[key]
        server.idle_since = None
        return server

    def _discard(self, server: RealServer) -> None:
        server.available = False
        self.estimator.stop(server.counters)
        server.idle_since = None
        if not self._trash:
            self._trash_timer.start(TRASH_PERIOD)
        key = (server.family, server.address, server.port, server.of)
        self._trash.setdefault(key, []).append(server)

    def _sweep(self, _: None) -> None:
        """Every 60 s: stamp what nothing refers to, free what was stamped 120 s or more ago."""
        now = self.clock.now
        for key, waiting in list(self._trash.items()):
            kept = [server for server in waiting if not self._expired(server, now)]
            if kept:
                self._trash[key] = kept
            else:
                del self._trash[key]
        if self._trash:
            self._trash_timer.start(TRASH_PERIOD)

    def _expired(self, server: RealServer, now: int) -> bool:
        if server.referenced:
            return False
        if server.idle_since is None:
            server.idle_since = now
            return False
        return now - server.idle_since >= TRASH_IDLE - JIFFY

    # --- inside ---

    def _bucket(self, service: VirtualService) -> int:
        if service.fwmark:
            return (service.fwmark ^ self.hash_key) & 0xFF
        port = service.port
        return (service.protocol ^ fold(service.address) ^ self.hash_key ^ port >> 8 ^ port) & 0xFF

    def _count(self, service: VirtualService, step: int) -> None:
        self._of_family[service.family] += step
        if service.fwmark or service.port == 0:
            self.port_zero_services += step
        elif service.port == 21:
            self.ftp_services += step

    def _set_scheduler(self, service: VirtualService, scheduler: type[Scheduler] | None) -> None:
        fresh = scheduler(service, self.settings) if scheduler is not None else None
        if service.scheduler is not None:
            service.scheduler.close()
        service.scheduler = fresh
        service.scheduler_name = scheduler.NAME if scheduler is not None else "none"
        if fresh is not None and fresh.COLLECTS:
            self.clock.timer(self._collect, fresh).start(COLLECT_PERIOD)

    def _collect(self, scheduler: Scheduler) -> None:
        """Every 60 s for as long as a service has it (lblc and lblcr, whose caches age)."""
        if scheduler.service.scheduler is scheduler:
            scheduler.collect(self.clock.jiffies)
            self.clock.timer(self._collect, scheduler).start(COLLECT_PERIOD)


__all__ = ["F_HASHED", "F_ONEPACKET", "F_PERSISTENT", "RealServer", "Table", "VirtualService", "fold"]
