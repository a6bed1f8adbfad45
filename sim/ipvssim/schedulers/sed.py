"""sed, shortest expected delay: the server with the least (active connections + 1) by weight.

State: none. Ties: the first in list order. Inactive connections do not count.
Kernel: net/netfilter/ipvs/ip_vs_sed.c, Linux 6.1.
"""

from __future__ import annotations

from typing import ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Server
from ipvssim.schedulers._ranked import SCALE, Ranked


@mypyc_attr(allow_interpreted_subclasses=True)
class ShortestExpectedDelay(Ranked):
    """Least (active + 1) / weight among the usable."""

    NAME: ClassVar[str] = "sed"
    RULE: ClassVar[str] = "least (active + 1) / weight, first in list order of equals"

    def rank(self, server: Server) -> int | None:
        weight = server.weight
        if weight <= 0 or server.overloaded:
            return None
        return (server.active + 1 << SCALE) // weight

    def figure(self, server: Server) -> str:
        return f"({server.active} active + 1) / weight {server.weight}"
