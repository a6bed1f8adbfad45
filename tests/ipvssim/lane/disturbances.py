"""What administrators, time and others do to a world between batches: by chance, and with the same chance the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

from tests.ipvssim import worlds as w

VIRTUALS = tuple(bytes((203, 0, 113, number)) for number in (1, 2, 3))
SERVERS = tuple(bytes((10, 0, 0, 10 + number)) for number in range(6))
PORTS = (80, 81, 53, 5353)
CLIENTS = tuple(bytes((192, 0, 2, number)) for number in range(1, 8))
FLAGS = (w.SYN, w.SYN, w.ACK, w.ACK, w.ACK, w.ACK, w.FIN | w.ACK, w.RST, 0, w.SYN | w.ACK, w.SYN | w.RST, w.FIN)
EVERYWHERE = ("rr", "wrr", "lc", "wlc", "sed", "nq")


def weighs(world: w.World, chance: Random) -> None:
    """A weight is written."""
    for service in world.namespace.table.services():
        for server in service.servers():
            if chance.random() < 0.3:
                server.weight = chance.choice((0, 1, 2, 5))
                server.last_weight = server.weight or server.last_weight
                if service.scheduler is not None:
                    service.scheduler.edited(server)


def deletes(world: w.World, chance: Random) -> None:
    """A server goes."""
    services = [one for one in world.namespace.table.services() if len(one.destinations) > 1]
    if services:
        service = chance.choice(services)
        world.namespace.table.delete_server(chance.choice(list(service.servers())))


def adds(world: w.World, chance: Random) -> None:
    """A server comes, or comes back."""
    services = list(world.namespace.table.services())
    if services:
        service = chance.choice(services)
        address, port = chance.choice(SERVERS), chance.choice((8080, service.port, 0))
        if (address, port) not in service.destinations:
            world.server(service, address, port, weight=chance.randrange(4), upper=chance.choice((0, 4)))


def replaces(world: w.World, chance: Random) -> None:
    """A service goes, and one of the same key may come with another scheduler."""
    services = list(world.namespace.table.services())
    if services and chance.random() < 0.4:
        service = chance.choice(services)
        world.namespace.table.delete_service(service)
        if chance.random() < 0.8:
            made = world.service(service.protocol, service.address, service.port, scheduler=chance.choice(EVERYWHERE))
            for server in chance.sample(SERVERS, 3):
                world.server(made, server, 8080, weight=chance.randrange(3))


def tunes(world: w.World, chance: Random) -> None:
    """A tunable is written; mostly one with a say in the lane. (Not drop_entry: whom it hits depends on the table's order,
    which means nothing, and is another where the lane gave connections back.)"""
    name = chance.choice(("conn_reuse_mode",) * 9 + ("expire_nodest_conn", "nat_icmp_send", "sloppy_tcp",
                         "expire_quiescent_template", "secure_tcp", "schedule_icmp", "conntrack"))  # fmt: skip
    most = {"conn_reuse_mode": 4, "secure_tcp": 4}.get(name, 2)
    value = chance.randrange(most) if name == "conn_reuse_mode" or chance.random() < 0.3 else 0
    world.kernel.sysctl.told(name, value)


def settles(world: w.World, chance: Random) -> None:
    """All tunables that keep the lane from its work are as they were."""
    for name in ("expire_nodest_conn", "nat_icmp_send", "conntrack"):
        world.kernel.sysctl.told(name, 0)


def sets(world: w.World, chance: Random) -> None:
    """Timeouts are set."""
    timeouts = world.namespace.timeouts
    timeouts.tcp, timeouts.tcp_fin, timeouts.udp = (chance.choice((1, 5, 120, 900, 3000)) for _ in range(3))


def waits(world: w.World, chance: Random) -> None:
    """Time passes."""
    world.pass_seconds(chance.choice((0.001, 0.01, 0.5, 7.0, 61.0, 130.0, 901.0)))


def looks(world: w.World, chance: Random) -> None:
    """Somebody lists the connections."""
    list(world.director.connections())


def asks(world: w.World, chance: Random) -> None:
    """Somebody asks why. (Of a server with a lower threshold the answer may be that no upper one can't be tried.)"""
    with suppress(ValueError):
        world.kernel.why(w.tcp(chance.choice(FLAGS), 1024 + chance.randrange(12), 80, source=chance.choice(CLIENTS)))


def sends(world: w.World, chance: Random) -> None:
    """Single packets come."""
    for _ in range(10):
        flags, port = chance.choice(FLAGS), 1024 + chance.randrange(12)
        world.kernel.receive(w.tcp(flags, port, 80, source=chance.choice(CLIENTS), target=chance.choice(VIRTUALS)))


DISTURBANCES: tuple[Callable[[w.World, Random], None], ...] = (
    weighs, weighs, deletes, adds, adds, replaces, tunes, tunes, settles, settles, settles, sets, waits, waits, waits, looks,
    asks, sends,
)  # fmt: skip
