"""ovf, weighted overflow: the server of the highest weight that has no more active connections than its weight.

State: none. Ties: the first in list order. Each takes weight + 1 active connections before the next has its turn.
Kernel: net/netfilter/ipvs/ip_vs_ovf.c, Linux 6.1.
"""

from __future__ import annotations

from typing import ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Server
from ipvssim.schedulers._ranked import Ranked


@mypyc_attr(allow_interpreted_subclasses=True)
class Overflow(Ranked):
    """Highest weight among the usable with active <= weight."""

    NAME: ClassVar[str] = "ovf"
    RULE: ClassVar[str] = "highest weight with active <= weight, first in list order of equals"

    def rank(self, server: Server) -> int | None:
        weight = server.weight
        return None if weight <= 0 or server.overloaded or server.active > weight else -weight

    def figure(self, server: Server) -> str:
        return f"weight {server.weight}, {server.active} active"

    def unfit(self, server: Server) -> str:
        said = super().unfit(server)
        if server.active <= server.weight:
            return said
        return f"{said and said + ' and '}has {server.active} active, more than its weight {server.weight}"
