"""Virtual services, their real servers and the trash, in the kernel's order (net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).

The table knows no netlink and no packets: ``genl`` validates and calls it, the packet path looks services up in it.
Addresses are 4 or 16 bytes in network order, ports are in host order; the family follows from an address's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Reversible
from itertools import chain

from ipvssim.clock import JIFFY, SECOND, Clock, Timer
from ipvssim.schedulers import Scheduler, Settings
from ipvssim.schedulers.hashing import fold
from ipvssim.statistics import Counters, Estimator

TRASH_PERIOD = 60 * SECOND
TRASH_IDLE = 120 * SECOND
COLLECT_PERIOD = 60 * SECOND
BUCKETS = 256

F_PERSISTENT, F_HASHED, F_ONEPACKET = 0x1, 0x2, 0x4


class RealServer:
    """A destination of one virtual service (``struct ip_vs_dest``).

    ``active``, ``inactive`` and ``persistent`` count its connections and templates; ``holders`` counts whatever else keeps
    it from being freed once it is in the trash (an lblc cache, say). ``order`` is smaller the newer it is: the list's order.
    """

    __slots__ = (
        "active", "address", "available", "conns", "counters", "family", "forwarding", "holders", "idle_since", "inactive",
        "last_weight", "lower", "of", "order", "overloaded", "persistent", "port", "service", "tunnel_flags",
        "tunnel_port", "tunnel_type", "upper", "weight",
    )  # fmt: skip

    def __init__(self, family: int, address: bytes, port: int) -> None:
        self.family = family
        self.address = address
        self.port = port
        self.forwarding = 0
        self.weight = 0
        self.last_weight = 0
        """The last weight that was not 0 (mh builds its table from it)."""
        self.upper = self.lower = 0
        self.tunnel_type = self.tunnel_port = self.tunnel_flags = 0
        self.active = self.inactive = self.persistent = 0
        self.conns = 0
        """Connections bound to it (templates left out), whichever way active and inactive are counted."""
        self.holders = 0
        self.overloaded = False
        self.available = False
        """Whether it is in its service's list; False once deleted."""
        self.counters = Counters()
        self.service: VirtualService | None = None
        """The service it belongs to, or belonged to when it was deleted."""
        self.of: tuple[int, int, int, bytes, int] = (0, 0, 0, b"", 0)
        """What it was a destination of, by value: family, fwmark, protocol, virtual address and port (for revival)."""
        self.idle_since: int | None = None
        self.order = 0

    @property
    def referenced(self) -> bool:
        """Whether anything but the trash still knows it."""
        return bool(self.conns or self.persistent or self.holders)


class VirtualService:
    """A virtual service (``struct ip_vs_service``). ``netmask`` is the wire's u32; ``timeout`` is in jiffies, 32 bits."""

    __slots__ = (
        "address", "counters", "destinations", "family", "flags", "fwmark", "netmask", "persistence_engine", "port",
        "protocol", "scheduler", "scheduler_name", "timeout",
    )  # fmt: skip

    def __init__(self, family: int, fwmark: int | None, protocol: int, address: bytes, port: int) -> None:
        self.family = family
        self.fwmark = fwmark or 0
        self.protocol = protocol
        self.address = address
        self.port = port
        self.flags = F_HASHED
        self.timeout = 0
        self.netmask = 0
        self.persistence_engine = ""
        self.scheduler: Scheduler | None = None
        self.scheduler_name = "none"
        self.destinations: dict[tuple[bytes, int], RealServer] = {}
        """Oldest first; the kernel's list is this reversed (:meth:`servers`). Keyed by address (4 or 16 bytes) and port."""
        self.counters = Counters()

    @property
    def identity(self) -> tuple[int, int, int, bytes, int]:
        """What revival compares: a service made anew with the same key is the same here."""
        if self.fwmark:
            return (self.family, self.fwmark, self.protocol, b"", 0)
        return (self.family, 0, self.protocol, self.address, self.port)

    @property
    def persistent(self) -> bool:
        """Whether it keeps clients on their server."""
        return bool(self.flags & F_PERSISTENT)

    @property
    def one_packet(self) -> bool:
        """Whether a UDP connection lives for one packet only."""
        return bool(self.flags & F_ONEPACKET)

    def servers(self) -> Iterator[RealServer]:
        """Its real servers in the kernel's list order: newest first."""
        return reversed(self.destinations.values())


class Buckets:
    """One of the kernel's two service hash tables: 256 buckets, newest first in each."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: list[dict[VirtualService, None]] = [{} for _ in range(BUCKETS)]

    def add(self, bucket: int, service: VirtualService) -> None:
        """Put it at the bucket's head."""
        self._buckets[bucket][service] = None

    def remove(self, bucket: int, service: VirtualService) -> None:
        """Take it out."""
        del self._buckets[bucket][service]

    def __iter__(self) -> Iterator[VirtualService]:
        """All of them in dump order."""
        return chain.from_iterable(map(reversed, self._filled()))

    def _filled(self) -> Iterator[Reversible[VirtualService]]:
        return (bucket for bucket in self._buckets if bucket)


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
        """How many services have port 21, port 0: what the packet path's wildcard lookups ask first (fwmarks have port 0)."""
        self.ever_used = False
        """Whether a service was ever added in this namespace."""
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
        marks = sum(1 for mark_family, _ in self.by_mark if mark_family == family)
        size = 4 if family == 2 else 16
        return marks + sum(1 for _, address, _ in self.by_address if len(address) == size)

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
        self._count_port(service, 1)
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
        self._count_port(service, -1)
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
            server.counters.reset()
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
        return (family, address, port, service.identity) in self._trash

    def _revive(self, service: VirtualService, family: int, address: bytes, port: int) -> RealServer | None:
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

    def _count_port(self, service: VirtualService, step: int) -> None:
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
