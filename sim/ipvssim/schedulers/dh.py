"""dh, destination hashing: the destination address chooses one of 256 buckets, the bucket a server.

State: the buckets, filled from the list's head round and round; a change of weights does not refill them. Ties: none. A
server that is not usable keeps its buckets, whose packets then have no server.
Kernel: net/netfilter/ipvs/ip_vs_dh.c, Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, ClassVar

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings, address_text, label
from ipvssim.schedulers._hashing import fold, hash_32


@mypyc_attr(allow_interpreted_subclasses=True)
class DestinationHashing(Scheduler):
    """The server of the destination address."""

    NAME: ClassVar[str] = "dh"
    RULE: ClassVar[str] = "the destination address hashed into 256 buckets, filled in list order"

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._buckets: list[Server] | None = None

    def added(self, server: Server) -> None:
        self._buckets = None

    def removed(self, server: Server) -> None:
        self._buckets = None

    def pick(self, flow: Flow) -> Server | None:
        buckets = self._filled()
        if not buckets:
            return None
        server = buckets[hash_32(fold(flow.destination), 8)]
        return server if server.weight > 0 and not server.overloaded else None

    def buckets(self) -> Sequence[Server]:
        return self._filled()

    def state(self, flow: Flow) -> dict[str, Any]:
        buckets, bucket = self._filled(), hash_32(fold(flow.destination), 8)
        return {"bucket": bucket, "holds": label(buckets[bucket]) if buckets else None}

    def why(self, flow: Flow, picked: Server | None) -> str:
        buckets, bucket = self._filled(), hash_32(fold(flow.destination), 8)
        key = f"the destination {address_text(flow.destination)}"
        return self.hashed(key, f"bucket {bucket} of 256", buckets[bucket] if buckets else None, picked)

    def _filled(self) -> list[Server]:
        """The buckets, filled at the first pick after a change."""
        if self._buckets is None:
            self._buckets = list(islice(cycle(self.service.servers()), 256))
        return self._buckets
