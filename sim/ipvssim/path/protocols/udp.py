"""UDP as IPVS follows it: one state, one timeout (net/netfilter/ipvs/ip_vs_proto_udp.c, Linux 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvssim.path.protocols.machine import OUTPUT, Machine, assure

if TYPE_CHECKING:
    from ipvssim.path.connections import ConnectionEntry

NUMBER = 17
NAME = "UDP"
STATES = ("UDP",)
TIMEOUTS = (300,)


class Udp(Machine):
    """UDP's machine: never active; a reply makes the connection's template worth keeping."""

    NUMBER, NAME, STATES = NUMBER, NAME, STATES

    def __init__(self, seconds: tuple[int, ...] = TIMEOUTS) -> None:
        super().__init__(seconds, (((0,),),) * 3)

    def transition(self, connection: ConnectionEntry, data: bytes, offset: int, direction: int) -> None:
        """Every packet renews the timeout."""
        del data, offset
        connection.timeout = self.timeouts[0]
        if direction == OUTPUT:
            assure(connection)
