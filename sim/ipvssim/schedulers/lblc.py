"""lblc, locality-based least connection: a destination address stays with its server until that has too much.

State: the server of each destination address. An address without one, or whose server was deleted, has weight 0, or has more
active connections than its weight while another server has less than half of its own, gets the one wlc would pick. A
threshold does not count while an address has its server. Ties: list order. Entries unused for net.ipv4.vs.lblc_expiration
are dropped. Kernel: net/netfilter/ipvs/ip_vs_lblc.c, Linux 6.1.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.clock import HZ
from ipvssim.schedulers._base import Flow, Server, address_text, label
from ipvssim.schedulers._locality import WLC, CacheEntry, Locality


@mypyc_attr(allow_interpreted_subclasses=True)
class LocalityBased(Locality["Home"]):
    """The server of the destination address, given anew by least overhead / weight."""

    NAME: ClassVar[str] = "lblc"
    RULE: ClassVar[str] = (
        "the destination address's server unless it has too much, else least connection overhead / weight"
    )

    def pick(self, flow: Flow) -> Server | None:
        home = self._cache.get(flow.destination)
        if home is not None:
            home.last_use = flow.now
            if self._serves(home.server):
                return home.server
        server = self.least()
        if server is not None and (home is None or home.server is not server) and not self.full:
            self.store(flow.destination, Home(server, flow.now))
        return server

    def peek(self, flow: Flow) -> Server | None:
        home = self._cache.get(flow.destination)
        return home.server if home is not None and self._serves(home.server) else self.least()

    def state(self, flow: Flow) -> dict[str, Any]:
        home = self._cache.get(flow.destination)
        server = home.server if home is not None else None
        return {"cached": label(server), "serves": server is not None and self._serves(server)}

    def why(self, flow: Flow, picked: Server | None) -> str:
        home = self._cache.get(flow.destination)
        where = f"the destination {address_text(flow.destination)}"
        if home is None:
            return f"lblc has no server for {where} yet: {self.compared(picked, WLC)}"
        if home.server is picked and self._serves(picked):
            return f"lblc has {label(picked)} for {where}, which {self.enough(picked)}"
        lack = "was deleted" if not home.server.available else self.lack(home.server)
        return f"lblc has {label(home.server)} for {where}, which {lack}: {self.compared(picked, WLC)}"

    def expiration(self) -> int:
        return self.settings.tunables.lblc_expiration * HZ

    def _serves(self, server: Server) -> bool:
        return server.available and server.weight > 0 and not self.over(server)


@mypyc_attr(allow_interpreted_subclasses=True)
class Home(CacheEntry):
    """One destination address's server."""

    __slots__ = ("server",)

    def __init__(self, server: Server, now: int) -> None:
        super().__init__(now)
        self.server = server
        server.holders += 1

    def release(self) -> None:
        self.server.holders -= 1
