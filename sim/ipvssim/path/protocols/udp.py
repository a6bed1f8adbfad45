"""UDP as IPVS follows it: one state, one timeout (net/netfilter/ipvs/ip_vs_proto_udp.c, Linux 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.path.connections import STATES as NAMES
from ipvssim.path.protocols.machine import OUTPUT, Machine, assure

if TYPE_CHECKING:
    from ipvssim.path.connections import ConnectionEntry

NUMBER: Final = 17
NAME: Final = "UDP"
STATES: Final[tuple[str, ...]] = ("UDP",)
TIMEOUTS: Final[tuple[int, ...]] = (300,)
NAMES[NUMBER] = STATES


@mypyc_attr(allow_interpreted_subclasses=True)
class Udp(Machine):
    """UDP's machine: never active; a reply makes the connection's template worth keeping."""

    def __init__(self, seconds: tuple[int, ...] = TIMEOUTS) -> None:
        super().__init__(seconds, (((0,),),) * 3)
        self.name = NAME
        self.states = STATES

    def transition(self, connection: ConnectionEntry, data: bytes, offset: int, direction: int) -> None:
        """Every packet renews the timeout."""
        del data, offset
        connection.timeout = self.timeouts[0]
        if direction == OUTPUT:
            assure(connection)
