"""mh, Maglev hashing: the client's address (with flag mh-port: and port) chooses one of 4093 slots, the slot a server.

State: the slots, shared out by each server's last weight that was not 0, so that a change of one server moves few others'
slots. Ties: in list order, each server in its turn takes the next free slots of its own permutation. A server that is not
usable has its packets refused, or, with flag mh-fallback, those of other slots in turn.
Kernel: net/netfilter/ipvs/ip_vs_mh.c, Linux 6.1 (after "Maglev", NSDI 2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd
from typing import Any, ClassVar, Final

from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings, address_text, label
from ipvssim.schedulers._hashing import PROTOCOLS_WITH_PORTS, fold, hsiphash

F_FALLBACK: Final = 0x8
F_PORT: Final = 0x10
SLOTS: Final = 4093
KEY_OFFSET: Final = 2654435761
KEY_SKIP: Final = 2654446892


@mypyc_attr(allow_interpreted_subclasses=True)
class Maglev(Scheduler):
    """The server of the client; few clients move when servers come and go."""

    NAME: ClassVar[str] = "mh"
    RULE: ClassVar[str] = (
        "the client hashed into 4093 slots, shared out by last weight through each server's permutation"
    )

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        if len(service.destinations) > SLOTS:
            raise ValueError(f"mh has {SLOTS} slots, fewer than the service's {len(service.destinations)} servers")
        self._slots: list[Server] | None = None
        self._hashed = 4 if service.family == AF_INET else 16
        """How many bytes of a server's address count: it is read as one of the service's family (``ip_vs_mh_permutate``)."""

    def added(self, server: Server) -> None:
        if len(self.service.destinations) <= SLOTS:
            self._slots = None
        elif self._slots is None:
            self._slots = assign([other for other in self.service.servers() if other is not server], self._hashed)

    def removed(self, server: Server) -> None:
        if len(self.service.destinations) <= SLOTS:
            self._slots = None

    def edited(self, server: Server) -> None:
        if len(self.service.destinations) <= SLOTS:
            self._slots = None

    def pick(self, flow: Flow) -> Server | None:
        slots = self._assigned()
        if not slots:
            return None
        value = self._value(flow)
        slot = hsiphash(value & 0xFFFFFFFF, KEY_OFFSET) % SLOTS
        server = slots[slot]
        if server.weight > 0 and not server.overloaded:
            return server
        return _fallback(slots, value, slot) if self.service.flags & F_FALLBACK else None

    def buckets(self) -> Sequence[Server]:
        return self._assigned()

    def state(self, flow: Flow) -> dict[str, Any]:
        slots, slot = self._assigned(), hsiphash(self._value(flow) & 0xFFFFFFFF, KEY_OFFSET) % SLOTS
        return {"slot": slot, "holds": label(slots[slot]) if slots else None}

    def why(self, flow: Flow, picked: Server | None) -> str:
        servers, place = self._assigned(), hsiphash(self._value(flow) & 0xFFFFFFFF, KEY_OFFSET) % SLOTS
        port = f" with port {flow.client_port}" if self._port(flow) else ""
        key = f"the client {address_text(flow.client)}{port}"
        return self.hashed(key, f"slot {place} of {SLOTS}", servers[place] if servers else None, picked)

    def _assigned(self) -> list[Server]:
        """The slots, assigned at the first pick after a change."""
        if self._slots is None:
            self._slots = assign(list(self.service.servers()), self._hashed)
        return self._slots

    def _value(self, flow: Flow) -> int:
        return fold(flow.client) + self._port(flow)

    def _port(self, flow: Flow) -> int:
        return flow.client_port if self.service.flags & F_PORT and flow.protocol in PROTOCOLS_WITH_PORTS else 0


def turns(weights: Iterable[int]) -> list[int]:
    """How many slots each server takes at a time: its weight by the greatest common divisor, scaled down to 6 bits or so."""
    given = list(weights)
    divisor = gcd(*given)
    if not divisor:
        return [0] * len(given)
    shift = max((max(given) // divisor).bit_length() - 6, 0)
    return [max(weight // divisor >> shift, 1) if weight else 0 for weight in given]


def assign(servers: Sequence[Server], hashed: int = 16) -> list[Server]:
    """All the slots of servers in list order; none where no server ever had a weight. ``hashed`` bytes of their addresses
    count."""
    shares = [
        (server, count) for server, count in zip(servers, turns(s.last_weight for s in servers), strict=True) if count
    ]
    if not shares:
        return []
    slots: list[Server | None] = [None] * SLOTS
    walks = [_permutation(server, hashed) for server, _ in shares]
    left = SLOTS
    while True:
        for index, (server, count) in enumerate(shares):
            place, skip = walks[index]
            for _ in range(count):
                while slots[place] is not None:
                    place = (place + skip) % SLOTS
                slots[place] = server
                left -= 1
                if not left:
                    return [taken for taken in slots if taken is not None]
            walks[index] = (place, skip)


def _permutation(server: Server, hashed: int) -> tuple[int, int]:
    value = fold(server.address[:hashed]) + server.port & 0xFFFFFFFF
    return hsiphash(value, KEY_OFFSET) % SLOTS, hsiphash(value, KEY_SKIP) % (SLOTS - 1) + 1


def _fallback(slots: list[Server], value: int, first: int) -> Server | None:
    for offset in range(SLOTS):
        probe = value + (first + offset) % SLOTS & 0xFFFFFFFF
        server = slots[hsiphash(probe, KEY_OFFSET) % SLOTS]
        if server.weight > 0 and not server.overloaded:
            return server
    return None
