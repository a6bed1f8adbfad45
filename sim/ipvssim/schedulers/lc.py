"""lc, least connection: the server with the fewest connections, an active one counting as 256 (or 257) inactive ones.

State: none. Weights matter only as zero or not. Ties: the first in list order. The overhead is compared unsigned.
Kernel: net/netfilter/ipvs/ip_vs_lc.c, Linux 6.1.
"""

from __future__ import annotations

from typing import ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Server, Service, Settings
from ipvssim.schedulers._ranked import Ranked, overhead_of_active


@mypyc_attr(allow_interpreted_subclasses=True)
class LeastConnection(Ranked):
    """Least overhead among the usable."""

    NAME: ClassVar[str] = "lc"
    RULE: ClassVar[str] = "least connection overhead, first in list order of equals"

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._cost = overhead_of_active(self.settings)

    def rank(self, server: Server) -> int | None:
        if server.weight <= 0 or server.overloaded:
            return None
        return server.active * self._cost + server.inactive & 0xFFFFFFFF

    def figure(self, server: Server) -> str:
        return f"{self._cost} * {server.active} active + {server.inactive} inactive"
