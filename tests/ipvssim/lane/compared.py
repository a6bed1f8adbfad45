"""What is compared of two worlds."""

from __future__ import annotations

from ipvssim.path.result import Result
from ipvssim.state.services import RealServer
from tests.ipvssim import worlds as w


def told(result: Result) -> tuple[object, ...]:
    """All that a result says of its packet."""
    server = result.server.endpoint if result.server is not None else ""
    service = result.service.name if result.service is not None else ""
    data = result.packet.data if result.packet is not None and result.reason not in _CHANGED else b""
    return result.verdict, result.reason, result.opened, server, service, tuple(result.out), data, result.answers


_CHANGED = frozenset(("reply",))
"""Where a result's packet is what came in, and is not looked at."""


def brief(world: w.World) -> list[object]:
    """What is there besides connections, as it is at any time; asking for it gives nothing back."""
    table, clock = world.namespace.table, world.namespace.clock
    found: list[object] = [clock.now, clock.random.getstate(), table.total.live(), table.total.shown()]
    for service in table.services():
        scheduler = service.scheduler
        state = {name: getattr(scheduler, name, None) for name in ("_current", "_step")}
        last = getattr(scheduler, "_last", None)
        found += [
            service.name,
            service.counters.live(),
            service.counters.shown(),
            state,
            last and (last.address, last.port),
        ]
        found += [_of(server) for server in service.servers()]
    found += [_of(server) for server in table.trash]
    return found


def _of(server: RealServer) -> tuple[object, ...]:
    counts = server.active, server.inactive, server.persistent, server.conns, server.overloaded, server.idle_since
    return server.endpoint, counts, server.counters.live(), server.counters.shown()


def whole(world: w.World) -> list[tuple[object, ...]]:
    """Every connection with all that it is; asking for it gives everything back."""
    return sorted(
        (one.protocol, one.key, one.reply_key, one.address, one.port, one.flags, one.state, one.timeout, one.in_packets,
         one.mark, one.expires if one.pending else -1, one.controlled, one.control is None)
        for one in world.director.connection_table
    )  # fmt: skip


def order(world: w.World) -> dict[tuple[int, bytes], bytes]:
    """Whom a reply finds; asking for it gives everything back."""
    world.director.connection_table.gather()
    return {
        (protocol, key): one.key for protocol, index in world.director.connection_table.replies.items()
        for key, one in index.items()
    }  # fmt: skip
