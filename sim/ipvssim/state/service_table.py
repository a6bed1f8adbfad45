"""Virtual services, their real servers and the trash, in the kernel's order (net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).

The table knows no netlink and no packets: ``genl`` validates and calls it, the packet path looks services up in it.
Addresses are 4 or 16 bytes in network order, ports are in host order; the family follows from an address's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from ipvsnl.consts import AF_INET, AF_INET6, FORWARDING
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import JIFFY, SECOND, Clock, Periodic
from ipvssim.schedulers import Scheduler, Settings
from ipvssim.schedulers._hashing import fold
from ipvssim.state.debug_log import DebugLog
from ipvssim.state.services import Buckets, RealServer, VirtualService
from ipvssim.state.statistics import Counters, Estimator
from ipvssim.state.trash import Trash

COLLECT_PERIOD: Final = 60 * SECOND
DIRECT: Final = FORWARDING["route"]
FTP: Final = 21


@mypyc_attr(allow_interpreted_subclasses=True)
class ServiceTable(Part):
    """The services of one network namespace. ``hash_key`` is the secret byte that orders its dumps; ``settings`` is what
    schedulers see of the namespace."""

    def __init__(self, clock: Clock, *, hash_key: int = 0, settings: Settings | None = None) -> None:
        self.clock = clock
        self.settings = settings if settings is not None else Settings()
        self.hash_key = hash_key
        self.estimator = Estimator(clock, exact=self.settings.behaviours.estimator_sysctls)
        self.total = Counters()
        self.estimator.start(self.total)
        self.by_address: dict[tuple[int, bytes, int], VirtualService] = {}
        """(protocol, address, port) to service; the length of the address tells the family."""
        self.by_mark: dict[tuple[int, int], VirtualService] = {}
        """(family, fwmark) to service."""
        self.ftp_services = 0
        self.port_zero_services = 0
        """How many services have port 21, port 0 (those of marks mostly have 0): the packet path's wildcard lookups ask
        these first."""
        self.engine_services = 0
        """How many services have a persistence engine."""
        self.ever_used = self.ever_six = False
        """Whether a service was ever added in this namespace, and one of IPv6: what that switches on stays."""
        self._of_family = {AF_INET: 0, AF_INET6: 0}
        self._address_buckets = Buckets()
        self._mark_buckets = Buckets()
        self.trash = Trash(clock)
        """Deleted destinations that have not been freed."""
        self._collectors: dict[VirtualService, Periodic] = {}
        self._newest = self._hashed = 0
        self.rerouted: set[RealServer] = set()
        """Servers that came to direct routing, or left it, while they had connections."""
        self.log: DebugLog | None = None
        self.named_hook: Callable[[bytes, bytes, int], None] | None = None
        """Called with a virtual address, a real server's and a firewall mark (empty or 0 where it is not about one) when the
        table comes to name them."""
        self.tracking: set[VirtualService] = set()
        """The services that ask for connection tracking; ``tracking_hook`` is called when they change."""
        self.tracking_hook: Callable[[], None] | None = None
        self.deleted_hook: Callable[[], None] | None = None
        """Called after destinations went to the trash (the packet path's expire_nodest_conn)."""

    # --- services ---

    def find(self, family: int, fwmark: int | None, protocol: int, address: bytes, port: int) -> VirtualService | None:
        """The service of exactly that key; a fwmark of 0 is none."""
        if fwmark:
            return self.by_mark.get((family, fwmark))
        return self.by_address.get((protocol, address, port))

    def has(self, service: VirtualService) -> bool:
        """Whether this very service is there, and not deleted."""
        return self.find(service.family, service.fwmark, service.protocol, service.address, service.port) is service

    def services(self) -> Iterator[VirtualService]:
        """All services in dump order: the address table, then the fwmark table."""
        return chain(self._address_buckets, self._mark_buckets)

    def service_count(self, family: int) -> int:
        """Services of one family (the packet path's hooks exist while there is one)."""
        return self._of_family[family]

    def add_service(
        self, service: VirtualService, scheduler: type[Scheduler] | None, *, hidden: bool = False
    ) -> None:  # fmt: skip
        """Hash a new service and start its scheduler. A ``hidden`` one is counted, and nobody will ever find it."""
        self._set_scheduler(service, scheduler)
        self.ever_used = True
        self.ever_six = self.ever_six or service.family == AF_INET6
        if not hidden:
            self._hash(service)
        self._count(service, 1)
        self.estimator.start(service.counters)
        if self.named_hook is not None:
            self.named_hook(b"" if service.fwmark else service.address, b"", service.fwmark)

    def _hash(self, service: VirtualService) -> None:
        if service.fwmark:
            self.by_mark[service.family, service.fwmark] = service
            self._mark_buckets.add(self._bucket(service), service)
        else:
            self.by_address[service.protocol, service.address, service.port] = service
            self._address_buckets.add(self._bucket(service), service)

    def edit_service(self, service: VirtualService, scheduler: type[Scheduler] | None) -> None:
        """Give it a scheduler; the same one keeps its state. ValueError: the scheduler refuses; the old one is bound again,
        and remembers nothing (``ip_vs_edit_service``)."""
        name = scheduler.NAME if scheduler else "none"
        if name == service.scheduler_name:
            return
        former = type(service.scheduler) if service.scheduler is not None else None
        try:
            self._set_scheduler(service, scheduler)
        except ValueError:
            self._set_scheduler(service, former)
            raise

    def set_engine(self, service: VirtualService, name: str) -> None:
        """Give a service of the table another persistence engine, or none."""
        self.engine_services += bool(name) - bool(service.persistence_engine)
        service.persistence_engine = name

    def delete_service(self, service: VirtualService) -> None:
        """Unhash it and move its destinations to the trash."""
        if service.fwmark:
            del self.by_mark[service.family, service.fwmark]
            self._mark_buckets.remove(self._bucket(service), service)
        else:
            del self.by_address[service.protocol, service.address, service.port]
            self._address_buckets.remove(self._bucket(service), service)
        self._count(service, -1)
        if service in self.tracking:
            self.tracking.remove(service)
            self._tracking_changed()
        self.estimator.stop(service.counters)
        scheduler, service.scheduler = service.scheduler, None
        if self.log is not None:
            self.log.scheduler_released(service)
        collector = self._collectors.pop(service, None)
        if collector is not None:
            collector.stop()
        servers = list(service.servers())
        for server in servers:
            self._discard(server)
        if scheduler is not None:
            scheduler.close()  # what a cache refers to it lets go of later (call_rcu)
        if not service.destinations:
            self._tell_unused(service)
        service.destinations.clear()
        if servers and self.deleted_hook is not None:
            self.deleted_hook()

    def flush(self) -> None:
        """Delete every service."""
        for service in list(self.services()):
            self.delete_service(service)

    # --- destinations ---

    def add_server(self, service: VirtualService, family: int, address: bytes, port: int) -> RealServer:
        """A destination at the head of the list, taken from the trash where it lies there: its caller then writes its
        parameters and calls :meth:`server_added`."""
        server = self.trash.take(service, family, address, port)
        if server is None:
            server = RealServer(family, address, port)
            server.of = service.identity
        elif server.service is not service:
            server.counters.zero()
            former, server.service = server.service, service
            self._tell_unused(former)
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
            if self.log is not None:
                self.log.table_filled(service)
        if self.named_hook is not None:
            self.named_hook(b"", server.address, 0)

    def put_back(self, service: VirtualService, server: RealServer) -> None:
        """Link a saved destination, oldest first, to a service that is yet to be added: no scheduler is told of it."""
        server.service = service
        server.of = service.identity
        self._newest -= 1
        server.order = self._newest
        server.available = True
        service.destinations[server.address, server.port] = server
        self.server_written(server, otherwise=True)
        self.estimator.start(server.counters)
        if self.named_hook is not None:
            self.named_hook(b"", server.address, 0)

    def server_written(self, server: RealServer, *, otherwise: bool) -> None:
        """Its parameters were given, at first or anew. ``otherwise``: its method, its tunnel's type or port is new, so that
        it comes first of those found by address (``ip_vs_rs_hash``). One that translates makes a service of port 21 ask for
        connection tracking, until that service is deleted (``ip_vs_register_conntrack``)."""
        server.way = None
        if otherwise:
            self._hashed += 1
            server.hashed = self._hashed
        service = server.service
        if service is not None and service.port == FTP and not server.forwarding and service not in self.tracking:
            self.tracking.add(service)
            self._tracking_changed()

    def reaches(self, server: RealServer, method: int) -> None:
        """Its packets will be forwarded by this method, which may be another than that of its connections."""
        if server.forwarding != method and DIRECT in (server.forwarding, method) and server.referenced:
            self.rerouted.add(server)

    def delete_server(self, server: RealServer) -> None:
        """Unlink it, tell the scheduler, and move it to the trash."""
        service = server.service
        assert service is not None
        del service.destinations[server.address, server.port]
        server.available = False
        if service.scheduler is not None:
            service.scheduler.removed(server)
            if self.log is not None:
                self.log.table_filled(service)
        self._discard(server)
        if self.deleted_hook is not None:
            self.deleted_hook()

    def in_trash(self, service: VirtualService, family: int, address: bytes, port: int) -> bool:
        """Whether :meth:`add_server` would revive: its address is then not checked again."""
        return self.trash.holds(service, family, address, port)

    def _discard(self, server: RealServer) -> None:
        server.available = False
        self.estimator.stop(server.counters)
        self.trash.put(server)

    # --- the log ---

    def tell(self, log: DebugLog) -> None:
        """Write to a log from now on."""
        self.log = self.trash.log = log
        self.trash.freed_hook = self._freed

    def _freed(self, server: RealServer) -> None:
        self._tell_unused(server.service)

    def _tell_unused(self, service: VirtualService | None) -> None:
        """A deleted service is freed when nothing in the trash was a server of it."""
        if self.log is None or service is None or self.has(service):
            return
        if not any(server.service is service for server in self.trash):
            self.log.service_gone(service)

    # --- inside ---

    def _bucket(self, service: VirtualService) -> int:
        if service.fwmark:
            return (service.fwmark ^ self.hash_key) & 0xFF
        port = service.port
        return (service.protocol ^ fold(service.address) ^ self.hash_key ^ port >> 8 ^ port) & 0xFF

    def _count(self, service: VirtualService, step: int) -> None:
        self._of_family[service.family] += step
        if service.persistence_engine:
            self.engine_services += step
        if service.port == 0:
            self.port_zero_services += step
        elif service.port == FTP:
            self.ftp_services += step

    def _tracking_changed(self) -> None:
        if self.tracking_hook is not None:
            self.tracking_hook()

    def _set_scheduler(self, service: VirtualService, scheduler: type[Scheduler] | None) -> None:
        fresh = scheduler(service, self.settings) if scheduler is not None else None
        if service.scheduler is not None:
            if self.log is not None:
                self.log.scheduler_released(service)
            service.scheduler.close()
        service.scheduler = fresh
        service.scheduler_name = scheduler.NAME if scheduler is not None else "none"
        if self.log is not None:
            self.log.scheduler_bound(service)
        collector = self._collectors.pop(service, None)
        if collector is not None:
            collector.stop()
        if fresh is not None and fresh.COLLECTS:
            collector = self._collectors[service] = self.clock.every(COLLECT_PERIOD, _Collection(self.clock, fresh))
            collector.start()


@mypyc_attr(allow_interpreted_subclasses=True)
class _Collection(Part):
    """What a scheduler does every 60 s (lblc and lblcr, whose caches age)."""

    def __init__(self, clock: Clock, scheduler: Scheduler) -> None:
        self._clock = clock
        self._scheduler = scheduler

    def idle(self, now: int) -> int:
        """As the scheduler says (:class:`ipvssim.clock.Task`)."""
        period = self._clock.period(COLLECT_PERIOD) * self._clock.jiffy
        return self._scheduler.idle_collections(now // JIFFY, period // JIFFY)

    def skip(self, ticks: int) -> None:
        """The scheduler lets them pass."""
        self._scheduler.skip_collections(ticks)

    def tick(self) -> None:
        """The scheduler collects."""
        self._scheduler.collect(self._clock.hundredths)
