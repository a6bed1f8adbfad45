"""sh, source hashing: the client's address (with flag sh-port: and port) chooses one of 256 buckets, the bucket a server.

State: the buckets, filled from the list's head round and round with as many in a row as a server's weight, at least one,
even for a weight of 0. Ties: none. A server that is not usable has its packets refused, or, with flag sh-fallback, those of
other buckets in turn. Kernel: net/netfilter/ipvs/ip_vs_sh.c, Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, cycle, islice, repeat
from typing import Any, ClassVar, Final

from ipvssim._compiling import mypyc_attr
from ipvssim.schedulers._base import Flow, Scheduler, Server, Service, Settings, address_text, label
from ipvssim.schedulers._hashing import PROTOCOLS_WITH_PORTS, fold, hash_32

F_FALLBACK: Final = 0x8
F_PORT: Final = 0x10


@mypyc_attr(allow_interpreted_subclasses=True)
class SourceHashing(Scheduler):
    """The server of the client."""

    NAME: ClassVar[str] = "sh"
    RULE: ClassVar[str] = "the client hashed into 256 buckets, filled in list order by weight"

    def __init__(self, service: Service, settings: Settings | None = None) -> None:
        super().__init__(service, settings)
        self._buckets: list[Server] | None = None

    def added(self, server: Server) -> None:
        self._buckets = None

    def removed(self, server: Server) -> None:
        self._buckets = None

    def edited(self, server: Server) -> None:
        self._buckets = None

    def pick(self, flow: Flow) -> Server | None:
        buckets = self._filled()
        if not buckets:
            return None
        bucket = self._bucket(flow)
        server = buckets[bucket]
        if server.weight > 0 and not server.overloaded:
            return server
        return _fallback(buckets, bucket) if self.service.flags & F_FALLBACK else None

    def buckets(self) -> Sequence[Server]:
        return self._filled()

    def state(self, flow: Flow) -> dict[str, Any]:
        buckets, bucket = self._filled(), self._bucket(flow)
        return {"bucket": bucket, "holds": label(buckets[bucket]) if buckets else None}

    def why(self, flow: Flow, picked: Server | None) -> str:
        servers, place = self._filled(), self._bucket(flow)
        port = f" with port {flow.client_port}" if self._port(flow) else ""
        key = f"the client {address_text(flow.client)}{port}"
        return self.hashed(key, f"bucket {place} of 256", servers[place] if servers else None, picked)

    def _bucket(self, flow: Flow) -> int:
        return hash_32(fold(flow.client) + self._port(flow), 8)

    def _port(self, flow: Flow) -> int:
        return flow.client_port if self.service.flags & F_PORT and flow.protocol in PROTOCOLS_WITH_PORTS else 0

    def _filled(self) -> list[Server]:
        """The buckets, filled at the first pick after a change."""
        if self._buckets is None:
            runs = (repeat(server, max(server.weight, 1)) for server in self.service.servers())
            self._buckets = list(islice(cycle(chain.from_iterable(runs)), 256))
        return self._buckets


def _fallback(buckets: list[Server], bucket: int) -> Server | None:
    """The kernel adds the bucket's number to the offset that is added to it: the search begins at twice the bucket."""
    for offset in range(256):
        server = buckets[(2 * bucket + offset) % 256]
        if server.weight > 0 and not server.overloaded:
            return server
    return None
