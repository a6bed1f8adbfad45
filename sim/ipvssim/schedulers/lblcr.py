"""lblcr, locality-based least connection with replication: a destination address has a set of servers, which grows.

State: the set of each destination address. Of it the server wlc would pick is taken; if there is none, or it has more active
connections than its weight while another server has less than half of its own, the one wlc would pick of all is taken and
joins the set. A set that did not change for net.ipv4.vs.lblcr_expiration loses its most loaded server. Ties: in a set the
newest first, else list order. Sets unused for that time are dropped. Kernel: net/netfilter/ipvs/ip_vs_lblcr.c, Linux 6.1.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.clock import HZ
from ipvssim.schedulers._base import Flow, Server, Service, Settings, address_text, label
from ipvssim.schedulers._locality import WLC, Locality
from ipvssim.schedulers._replicas import Changes, Replicas


@mypyc_attr(allow_interpreted_subclasses=True)
class LocalityBasedReplicated(Locality[Replicas]):
    """The least overhead / weight in the destination address's set, which grows by the least of all."""

    NAME: ClassVar[str] = "lblcr"
    RULE: ClassVar[str] = (
        "the least connection overhead / weight in the destination address's set unless it has too much, else of all"
    )

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._changes = Changes()

    def removed(self, server: Server) -> None:
        super().removed(server)
        self._changes.note([server])

    def refresh(self) -> None:
        self._changes.note(self._changed)
        super().refresh()

    def pick(self, flow: Flow) -> Server | None:
        replicas = self._cache.get(flow.destination)
        if replicas is None:
            server = self.least()
            if server is not None and not self.full:
                self.store(flow.destination, Replicas(server, flow.now))
            return server
        replicas.last_use = flow.now
        server = self._best(replicas)
        if len(replicas.members) > 1 and flow.now > replicas.last_change + self.expiration():
            replicas.shed(self.cost, flow.now)
        if server is None or self.over(server):
            server = self.least()
            if server is not None and replicas.join(server, flow.now):
                self._changes.note([server])
        return server

    def peek(self, flow: Flow) -> Server | None:
        replicas = self._cache.get(flow.destination)
        server = self._best(replicas) if replicas is not None else None
        return self.least() if server is None or self.over(server) else server

    def state(self, flow: Flow) -> dict[str, Any]:
        replicas = self._cache.get(flow.destination)
        if replicas is None:
            return {"set": [], "best": None, "too_much": False}
        best = self._best(replicas)
        return {
            "set": [label(server) for server in reversed(replicas.members)],
            "best": label(best),
            "too_much": best is not None and self.over(best),
        }

    def why(self, flow: Flow, picked: Server | None) -> str:
        replicas = self._cache.get(flow.destination)
        where = f"the destination {address_text(flow.destination)}"
        if replicas is None:
            return f"lblcr has no set for {where} yet: {self.compared(picked, WLC)}"
        best, members = self._best(replicas), len(replicas.members)
        if best is None:
            return f"lblcr finds nobody usable in the set of {where} ({members}): {self.compared(picked, WLC)}"
        if not self.over(best):
            said = f"lblcr takes {label(best)}, the least loaded of {members} in the set of {where}"
            return f"{said}: it {self.enough(best)}"
        return f"lblcr has {label(best)} in the set of {where}, which {self.lack(best)}: {self.compared(picked, WLC)}"

    def expiration(self) -> int:
        return self.settings.tunables.lblcr_expiration * HZ

    def _best(self, replicas: Replicas) -> Server | None:
        if self._changed:
            self.refresh()
        return replicas.least(self.cost, self._least, self._changes)
