"""nq, never queue: the first server in list order without active connections; where all have some, as sed.

State: none. Ties: the first in list order; idle servers are equals whatever their weights.
Kernel: net/netfilter/ipvs/ip_vs_nq.c, Linux 6.1.
"""

from __future__ import annotations

from typing import ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Server
from ipvssim.schedulers._ranked import SCALE, Ranked


@mypyc_attr(allow_interpreted_subclasses=True)
class NeverQueue(Ranked):
    """An idle server, else the least (active + 1) / weight among the usable."""

    NAME: ClassVar[str] = "nq"
    RULE: ClassVar[str] = "first in list order with no active connection, else least (active + 1) / weight"

    def rank(self, server: Server) -> int | None:
        weight = server.weight
        if weight <= 0 or server.overloaded:
            return None
        active = server.active
        return (active + 1 << SCALE) // weight if active else 0

    def figure(self, server: Server) -> str:
        if not server.active:
            return "no active connection"
        return f"({server.active} active + 1) / weight {server.weight}"
