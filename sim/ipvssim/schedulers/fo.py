"""fo, weighted failover: the server of the highest weight, for as long as it is usable.

State: none. Ties: the first in list order.
Kernel: net/netfilter/ipvs/ip_vs_fo.c, Linux 6.1.
"""

from __future__ import annotations

from ipvssim.schedulers._base import Server
from ipvssim.schedulers._ranked import Ranked


class Failover(Ranked):
    """Highest weight among the usable."""

    NAME = "fo"
    RULE = "highest weight, first in list order of equals"
    LOADS = False

    def rank(self, server: Server) -> int | None:
        weight = server.weight
        return None if weight <= 0 or server.overloaded else -weight

    def figure(self, server: Server) -> str:
        return f"weight {server.weight}"
