"""fo, weighted failover: the server of the highest weight, for as long as it is usable.

State: none. Ties: the first in list order.
Kernel: net/netfilter/ipvs/ip_vs_fo.c, Linux 6.1.
"""

from __future__ import annotations

from typing import ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Server
from ipvssim.schedulers._ranked import Ranked


@mypyc_attr(allow_interpreted_subclasses=True)
class Failover(Ranked):
    """Highest weight among the usable."""

    NAME: ClassVar[str] = "fo"
    RULE: ClassVar[str] = "highest weight, first in list order of equals"
    LOADS: ClassVar[bool] = False

    def rank(self, server: Server) -> int | None:
        weight = server.weight
        return None if weight <= 0 or server.overloaded else -weight

    def figure(self, server: Server) -> str:
        return f"weight {server.weight}"
