"""What a simulated director makes of hundreds of thousands of hostile packets, as one number: ``make test-compiled`` asks it
of the compiled modules and of the same files uncompiled.

    python -m tests.ipvssim.digest [PACKETS]

The packets are those of the recorded traces, damaged, cut and joined, always the same ones. Each one's verdict, reason and
bytes count, and at the end of each world all connections, servers and counters.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from random import Random

import ipvssim
from ipvssim.path.result import Result
from ipvssim.schedulers import KERNEL
from tests.ipvssim import worlds as w
from tests.ipvssim.path.test_hostile import mutated, steps

PACKETS = 300_000
_EACH = 1500
"""So many packets come to one world."""
_METHODS = (w.MASQUERADE, w.DIRECT, w.TUNNEL)
_SWITCHES = (
    "nat_icmp_send", "schedule_icmp", "sloppy_tcp", "sloppy_sctp", "expire_nodest_conn", "expire_quiescent_template",
    "conntrack", "snat_reroute", "cache_bypass",
)  # fmt: skip


def digest(packets: int = PACKETS) -> str:
    """The number of so many packets."""
    chance = Random(16)
    known = sorted({bytes.fromhex(step["hex"]) for step in steps() if step["on"] == "client"})
    backs = sorted({bytes.fromhex(step["hex"])[14:] for step in steps() if step["on"] == "server"})
    seen = sha256()
    made = world(chance)
    for number in range(packets):
        if number % _EACH == 0:
            seen.update(state(made))
            made = world(chance)
        outside = chance.random() < 0.7
        data = chance.choice(known if outside else backs)
        if chance.random() < 0.8:
            data = mutated(chance, data, known)
        if chance.random() < 0.02:
            disturb(chance, made)
        result = made.client(data, chance.choice((0, 0, 0, 1))) if outside or not data else made.from_server(data)
        seen.update(told(result))
    seen.update(state(made))
    return seen.hexdigest()


def world(chance: Random) -> w.World:
    """A director whose services have schedulers and methods at random."""
    made = w.World(chance.choice(("6.1.176", "6.12.104", "7.2")), **{name: chance.randrange(2) for name in _SWITCHES})
    for protocol in (w.TCP, w.UDP, w.SCTP):
        for address, server in ((w.VIRTUAL, w.SERVER), (w.VIRTUAL6, w.SERVER6)):
            for port in (80, 53, 21, 0):
                lasting = None if port and chance.random() < 0.6 else 60
                service = made.service(
                    protocol, address, port, persistent=lasting, scheduler=chance.choice(sorted(KERNEL)),
                    flags=chance.choice((0, 0, 4, 8, 16)),
                )  # fmt: skip
                for one in range(chance.randrange(1, 6)):
                    own = server[:-1] + bytes((server[-1] + one,))
                    method, weight, upper = chance.choice(_METHODS), chance.randrange(4), chance.choice((0, 0, 3))
                    made.server(service, own, port and port + one, method, weight, upper=upper)
    return made


def disturb(chance: Random, made: w.World) -> None:
    """Time passes, or an administrator comes."""
    made.pass_seconds(chance.choice((0.01, 1.0, 7.5, 61.0, 400.0)))
    table = made.namespace.table
    service = chance.choice(list(table.services()))
    servers = list(service.servers())
    server = chance.choice(servers) if servers else None
    what = chance.randrange(4)
    if server is not None and what == 0 and len(servers) > 1:
        table.delete_server(server)
    elif server is not None and what == 1:
        server.weight = chance.randrange(3)
        server.last_weight = server.weight or server.last_weight
        if service.scheduler is not None:
            service.scheduler.edited(server)


def told(result: Result) -> bytes:
    """All that a result says, as bytes."""
    server = result.server.endpoint if result.server is not None else ""
    left = b"".join(device.encode() + frame for device, frame in result.out)
    return f"{result.verdict.value} {result.reason} {result.opened} {server} ".encode() + left


def state(made: w.World) -> bytes:
    """All that is left of it, as bytes."""
    rows = sorted(repr(sorted(row.items())) for row in made.director.connections())
    for service in made.namespace.table.services():
        rows.append(f"{service.name} {service.counters.live()}")
        for server in service.servers():
            counts = server.active, server.inactive, server.persistent, server.conns, server.overloaded
            rows.append(f"{server.endpoint} {counts} {server.counters.live()}")
    rows.append(f"{made.namespace.table.total.live()} {made.namespace.clock.now}")
    return "\n".join(rows).encode()


if __name__ == "__main__":
    print("compiled" if ipvssim.compiled else "interpreted", file=sys.stderr)
    print(digest(int(sys.argv[1]) if len(sys.argv) > 1 else PACKETS))
