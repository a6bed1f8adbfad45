"""One virtual service with its scheduler, driven as the netlink family and the packet path drive it."""

from __future__ import annotations

from random import Random
from typing import Any

from ipvssim.behaviours import resolve
from ipvssim.clock import SECOND, Clock
from ipvssim.schedulers import Flow, Scheduler, Settings, find
from ipvssim.state.service_table import ServiceTable
from ipvssim.state.services import RealServer, VirtualService

VIP = bytes([10, 0, 0, 1])
CHANCE = 7
"""The seed of what schedulers draw."""
CLIENT = bytes([192, 0, 2, 1])


class Tunables:
    """The schedulers' variables, to be written by tests."""

    def __init__(self) -> None:
        self.lblc_expiration = self.lblcr_expiration = 86400


class Lab:
    """A table with one service. Every change goes to its scheduler, and to ``model`` where there is one."""

    def __init__(self, name: str, *, sublevel: int = 176, flags: int = 0, model: Any = None) -> None:
        self.clock = Clock()
        chance = Random(CHANCE)
        self.tunables = Tunables()
        behaviours = resolve(f"6.1.{sublevel}").behaviours
        self.table = ServiceTable(
            self.clock, settings=Settings(behaviours, self.tunables, lambda: chance.getrandbits(32))
        )
        self.service = VirtualService(2, 0, 6, VIP, 80)
        self.service.flags |= flags
        scheduler = find(name)
        assert scheduler is not None
        self.table.add_service(self.service, scheduler)
        self.model = model

    @property
    def scheduler(self) -> Scheduler:
        assert self.service.scheduler is not None
        return self.service.scheduler

    @property
    def servers(self) -> list[RealServer]:
        """In list order."""
        return list(self.service.servers())

    def add(self, host: int | bytes, weight: int = 1, port: int = 80) -> RealServer:
        """A server at 10.0.0.host, or of that address."""
        address = bytes([10, 0, 0, host]) if isinstance(host, int) else host
        server = self.table.add_server(self.service, 2 if len(address) == 4 else 10, address, port)
        server.weight = server.last_weight = weight
        self.table.server_added(server)
        if self.model is not None:
            self.model.added(self.servers, server)
        return server

    def delete(self, server: RealServer) -> None:
        self.table.delete_server(server)
        if self.model is not None:
            self.model.removed(self.servers, server)

    def edit(self, server: RealServer, weight: int) -> None:
        server.weight = weight
        if weight:
            server.last_weight = weight
        self.scheduler.edited(server)
        if self.model is not None:
            self.model.edited(server)

    def load(self, server: RealServer, active: int = 0, inactive: int = 0) -> None:
        """Set its counts; the scheduler is told only if it cares."""
        server.active, server.inactive = active, inactive
        if self.scheduler.LOADS:
            self.scheduler.loaded(server)

    def mark(self, server: RealServer, overloaded: bool) -> None:
        server.overloaded = overloaded
        self.scheduler.loaded(server)

    def flow(self, client: bytes = CLIENT, port: int = 1024, destination: bytes = VIP, protocol: int = 6) -> Flow:
        return Flow(protocol, client, port, destination, 80, self.clock.hundredths)

    def pick(self, **flow: Any) -> int | None:
        """The last byte of the picked server's address; None where there is none."""
        server = self.scheduler.pick(self.flow(**flow))
        return None if server is None else server.address[-1]

    def connect(self, **flow: Any) -> int | None:
        """As :meth:`pick`, and the connection becomes active (a SYN)."""
        server = self.service.pick(self.flow(**flow))
        if server is None:
            return None
        self.load(server, server.active + 1, server.inactive)
        return server.address[-1]

    def wait(self, seconds: float) -> None:
        self.clock.advance(int(seconds * SECOND))
