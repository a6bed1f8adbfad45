"""AH and ESP: they follow the connection of their key exchange (net/netfilter/ipvs/ip_vs_proto_ah_esp.c, Linux 6.1).

A packet of theirs belongs to the UDP connection port 500 to port 500 between the same addresses. It never opens one, and it
changes neither its state nor its timeout; only the timer starts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.path.protocols.machine import Machine

if TYPE_CHECKING:
    from ipvssim.path.connections import ConnectionEntry

ESP: Final = 50
AH: Final = 51
ISAKMP: Final = bytes.fromhex("01f401f4")
"""Source and destination port of the key exchange."""


@mypyc_attr(allow_interpreted_subclasses=True)
class AhEsp(Machine):
    """The machine without states of AH and ESP."""

    def __init__(self) -> None:
        super().__init__((), ())
        self.name = "AH/ESP"

    def transition(self, connection: ConnectionEntry, data: bytes, offset: int, direction: int) -> None:
        """Nothing changes."""
