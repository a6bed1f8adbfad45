"""The services and servers as the lane has them, and back: who changed what is told by lists, on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from ipvsnl.consts import AF_INET, CONN_F_ONE_PACKET
from ipvssim.lane.native import ffi, lib
from ipvssim.lane.ways import Ways, put
from ipvssim.net.network import LOCAL, UNICAST
from ipvssim.net.packets import TCP, UDP
from ipvssim.path.connections import DIRECT
from ipvssim.schedulers.lc import LeastConnection
from ipvssim.schedulers.nq import NeverQueue
from ipvssim.schedulers.rr import RoundRobin
from ipvssim.schedulers.sed import ShortestExpectedDelay
from ipvssim.schedulers.wlc import WeightedLeastConnection
from ipvssim.schedulers.wrr import WeightedRoundRobin

if TYPE_CHECKING:
    from ipvssim.path.director import Director
    from ipvssim.state.services import RealServer, VirtualService
    from ipvssim.state.statistics import Counters

NOBODY: Final = 0xFFFFFFFF
_AT_ONCE: Final = 1024
_COUNTS: Final = ("conns", "inpkts", "inbytes", "outpkts", "outbytes")
_NOT_ROUTED: Final = frozenset((0, 127))
"""First bytes of addresses to which nothing comes from outside."""
_MOST: Final = 1 << 31
_Row = tuple[int, ...]
"""A server's number; conns, inpkts, inbytes, outpkts, outbytes counted; conns, active, inactive as they are; whether it is
overloaded, and whether that changed; how many active and inactive ones expired (LANE_ROW of lane.h)."""
_RANKED: Final[dict[type, str]] = {
    LeastConnection: "LANE_LC",
    WeightedLeastConnection: "LANE_WLC",
    ShortestExpectedDelay: "LANE_SED",
    NeverQueue: "LANE_NQ",
}
"""Schedulers whose state is the loads alone, and what the lane calls them."""


class Mirror:
    """Between a director's table and the lane. ``servers`` are all that the lane knows, by number."""

    def __init__(self, handle: Any, director: Director, ways: Ways) -> None:
        self._handle = handle
        self._director = director
        self._ways = ways
        self.servers: list[RealServer | None] = []
        self.numbers: dict[RealServer, int] = {}
        self._services: list[VirtualService | None] = []
        self._service_numbers: dict[VirtualService, int] = {}
        self._taken = ffi.new("uint32_t[]", _AT_ONCE)
        self._rows = ffi.new("int64_t[]", _AT_ONCE * lib.LANE_ROW)

    # --- to the lane ---

    def refresh(self, *, forgets: bool) -> None:
        """Hand everything in as it is now. ``forgets``: what is gone gives its number away. MemoryError."""
        table = self._director.namespace.table
        plain = [one for one in table.by_address.values() if one.family == AF_INET and one.protocol in (TCP, UDP)]
        if forgets:
            self._forget(set(plain))
        for service in plain:
            _numbered(service, self._service_numbers, self._services)
            for server in service.servers():
                _numbered(server, self.numbers, self.servers)
        if lib.lane_reserve(self._handle, len(self._services), len(self.servers)):
            raise MemoryError("the servers of the lane")
        for number, one in enumerate(self.servers):
            if one is not None:
                self._write_server(number, one)
        lib.lane_forget(self._handle)
        for service in plain:
            self._write_service(service)

    def update(self, servers: Iterable[RealServer], service: VirtualService | None) -> None:
        """The loads of these servers changed, and perhaps what the schedulers of their services and of ``service`` keep."""
        services = set() if service is None else {service}
        rows = lib.lane_servers(self._handle)
        for server in servers:
            number = self.numbers.get(server)
            if number is not None:
                _write_loads(rows[number], server)
                if server.service is not None:
                    services.add(server.service)
        for one in services:
            number = self._service_numbers.get(one)
            if number is not None:
                row = lib.lane_services(self._handle)[number]
                row.opens = self._scheduler(one, row)

    def _forget(self, plain: set[VirtualService]) -> None:
        rows = lib.lane_servers(self._handle)
        for number, server in enumerate(self.servers):
            if server is not None and not server.available and not rows[number].held:
                del self.numbers[server]
                self.servers[number] = None
        needed = plain | {
            server.service for server in self.servers if server is not None and server.service is not None
        }
        for number, service in enumerate(self._services):
            if service is not None and service not in needed:
                del self._service_numbers[service]
                self._services[number] = None

    def _write_server(self, number: int, server: RealServer) -> None:
        row = lib.lane_servers(self._handle)[number]
        service = server.service
        at = self._service_numbers.get(service) if service is not None and server.available else None
        four = len(server.address) == 4
        row.address, row.port = int.from_bytes(server.address, "big") if four else 0, server.port
        row.service = NOBODY if at is None else at
        row.one_packet, row.method = bool(server.flags & CONN_F_ONE_PACKET), server.forwarding & 7
        row.weight = min(max(server.weight, -1), _MOST - 1)
        row.upper, row.lower = server.upper, server.lower
        row.opened = row.packets = 0
        _write_loads(row, server)
        way = self._way(server.address) if four and at is not None else None
        row.usable = way is not None
        if way is not None:
            put(row.way, *way)

    def _way(self, address: bytes) -> tuple[int, int, bytes] | None:
        path = self._director.network.path(address)
        if path.kind != UNICAST or path.device is None:
            return None
        header = self._ways.header(path.device, path.next_hop)
        return None if header is None else (path.mtu, self._ways.number(path.device.name), header)

    def _write_service(self, service: VirtualService) -> None:
        number = self._service_numbers[service]
        row = lib.lane_services(self._handle)[number]
        address = service.address
        row.address, row.port, row.protocol = int.from_bytes(address, "big"), service.port, service.protocol
        row.local = self._director.network.path(address).kind == LOCAL and address[0] not in _NOT_ROUTED
        row.one_packet = service.one_packet
        row.odd = 0
        servers = [self.numbers[server] for server in self.listed(service)]
        if lib.lane_serve(self._handle, number, ffi.new("uint32_t[]", servers or 1), len(servers)):
            raise MemoryError("the servers of the lane")
        row.opens = self._scheduler(service, row)

    @staticmethod
    def listed(service: VirtualService) -> list[RealServer]:
        """A service's servers in list order."""
        return list(service.servers())

    def _scheduler(self, service: VirtualService, row: Any) -> int:
        """What picks for a service in the lane, its state written; 0: nothing does."""
        scheduler, elsewhere = service.scheduler, int(lib.LANE_ELSEWHERE)
        row.ranked = 0
        if service.persistent or service.persistence_engine or not service.port:
            return elsewhere
        if any(not 0 <= server.weight < _MOST for server in service.destinations.values()):
            return elsewhere
        if type(scheduler) in _RANKED:
            return int(getattr(lib, _RANKED[type(scheduler)]))
        if type(scheduler) is not RoundRobin and type(scheduler) is not WeightedRoundRobin:
            return elsewhere
        last = scheduler._last
        number = None if last is None else self.numbers.get(cast("RealServer", last))
        if last is not None and (number is None or not last.available):
            return elsewhere
        row.last = NOBODY if number is None else lib.lane_servers(self._handle)[number].place
        if isinstance(scheduler, RoundRobin):
            return int(lib.LANE_RR)
        row.current, row.step = scheduler._current, scheduler._step
        return int(lib.LANE_WRR)

    def picks(self, address: int, port: int, protocol: int) -> bool:
        """Whether the lane has the scheduler of the service there."""
        number = lib.lane_service_at(self._handle, address, port, protocol)
        return number != NOBODY and bool(lib.lane_services(self._handle)[number].opens != lib.LANE_ELSEWHERE)

    # --- from the lane ---

    def write_back(self) -> None:
        """Let the table be as the lane has made it: loads, counters, and where the schedulers stand."""
        lists = lib.lane_services(self._handle)
        for row in self._changed():
            self._read_server(row)
        while taken := lib.lane_moved(self._handle, self._taken, _AT_ONCE):
            for number in self._taken[0:taken]:
                self._read_service(lists[number], self._services[number])
        _add(self._director.namespace.table.total, lib.lane_total(self._handle))

    def let_go(self) -> None:
        """Take what expired off the servers' loads. Others may have changed these since the lane looked."""
        table = self._director.connection_table
        for row in self._changed():
            server = self.servers[row[0]]
            assert server is not None
            _count(server.counters, row)
            table.released(server, row[11], row[12])

    def _changed(self) -> Iterator[_Row]:
        """What C tells of each server that changed, which is taken."""
        while taken := lib.lane_changed(self._handle, self._rows, _AT_ONCE):
            told = iter(ffi.unpack(self._rows, taken * lib.LANE_ROW))
            yield from zip(*[told] * lib.LANE_ROW, strict=True)

    def _read_server(self, row: _Row) -> None:
        server = self.servers[row[0]]
        assert server is not None
        _count(server.counters, row)
        if row[2] and server.way is None and server.forwarding == DIRECT:
            server.way = self._director.network.path(server.address)
        server.conns, server.active, server.inactive = row[6], row[7], row[8]
        server.overloaded = bool(row[9])
        scheduler = server.service.scheduler if server.service is not None else None
        if scheduler is not None and (scheduler.loads or row[10]):
            scheduler.loaded(server)

    def _read_service(self, row: Any, service: VirtualService | None) -> None:
        assert service is not None
        _add(service.counters, row.counts)
        scheduler = service.scheduler
        if row.opens == lib.LANE_ELSEWHERE or not isinstance(scheduler, RoundRobin | WeightedRoundRobin):
            return
        servers = list(service.destinations.values())
        scheduler._last = None if row.last == NOBODY else servers[len(servers) - 1 - row.last]
        if isinstance(scheduler, WeightedRoundRobin):
            scheduler._current = row.current


def _numbered(one: Any, numbers: dict[Any, int], every: list[Any]) -> None:
    """Give it the next number, where it has none."""
    if one not in numbers:
        numbers[one] = len(every)
        every.append(one)


def _write_loads(row: Any, server: RealServer) -> None:
    row.conns, row.active, row.inactive, row.overloaded = (
        server.conns,
        server.active,
        server.inactive,
        server.overloaded,
    )


def _count(counters: Counters, row: _Row) -> None:
    """Add what was counted."""
    counters.conns += row[1]
    counters.inpkts += row[2]
    counters.inbytes += row[3]
    if row[4]:
        counters.outpkts += row[4]
        counters.outbytes += row[5]


def _add(counters: Counters, counts: Any) -> None:
    """Add what was counted, which begins anew."""
    for name in _COUNTS:
        more = getattr(counts, name)
        if more:
            setattr(counters, name, getattr(counters, name) + more)
            setattr(counts, name, 0)
