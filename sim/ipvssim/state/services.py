"""Virtual services, their real servers, and the buckets that services are hashed into (net/netfilter/ipvs/ip_vs_ctl.c, 6.1).

Addresses are 4 or 16 bytes in network order, ports are in host order; the family follows from an address's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Reversible
from itertools import chain
from typing import TYPE_CHECKING, Final, cast

from ipvsnl.address import shown
from ipvsnl.consts import AF_INET6, FORWARDING, PROTOCOLS
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.schedulers import Flow, Scheduler, Server
from ipvssim.state.statistics import Counters

if TYPE_CHECKING:
    from ipvssim.net.network import Path

BUCKETS: Final = 256
Identity = tuple[int, int, int, bytes, int]
"""A service by value: family, fwmark, protocol, virtual address and port; of a fwmark the last two are empty and 0."""
_METHODS: Final = {number: word for word, number in FORWARDING.items()}
_PROTOCOLS: Final = {number: word for word, number in PROTOCOLS.items()}

F_PERSISTENT: Final = 0x1
F_HASHED: Final = 0x2
F_ONEPACKET: Final = 0x4


@mypyc_attr(allow_interpreted_subclasses=True)
class RealServer(Server):
    """A destination of one virtual service (``struct ip_vs_dest``).

    ``active``, ``inactive`` and ``persistent`` count its connections and templates; ``holders`` counts whatever else keeps
    it from being freed once it is in the trash (an lblc cache, say). ``order`` is smaller the newer it is: the list's order.
    """

    __slots__ = (
        "conns", "counters", "family", "flags", "forwarding", "hashed", "idle_since", "lower", "of", "persistent",
        "service", "tunnel_flags", "tunnel_port", "tunnel_type", "upper", "way", "way_direct",
    )  # fmt: skip

    def __init__(self, family: int, address: bytes, port: int) -> None:
        super().__init__(address, port)
        self.family = family
        self.forwarding = 0
        self.flags = 0
        """What its connections are besides (:data:`ipvsnl.sockopt.DEST_FLAGS`): only the old interface can give it any."""
        self.upper = self.lower = 0
        self.tunnel_type = self.tunnel_port = self.tunnel_flags = 0
        self.hashed = 0
        """Larger the later it came to be found by its address (``rs_table``): an edit of how it is reached counts anew."""
        self.way: Path | None = None
        """The way last taken to it through a tunnel, or first taken by direct routing, until it is edited (``dest_dst``).
        Where its connections are of several methods, any way."""
        self.way_direct = False
        """Whether a packet of direct routing was the first to take that way."""
        self.persistent = 0
        self.conns = 0
        """Connections bound to it (templates left out), whichever way active and inactive are counted."""
        self.counters = Counters()
        self.service: VirtualService | None = None
        """The service it belongs to, or belonged to when it was deleted."""
        self.of: Identity = (0, 0, 0, b"", 0)
        """What it was a destination of (for revival)."""
        self.idle_since: int | None = None

    @property
    def endpoint(self) -> str:
        """Its address and port as text: ``10.0.0.1:80``, ``[2001:db8::1]:80``."""
        return shown(self.address, self.port)

    def __repr__(self) -> str:
        return f"<RealServer {self.endpoint} {_METHODS.get(self.forwarding, self.forwarding)} weight {self.weight}>"

    @property
    def references(self) -> int:
        """How often the kernel counts it referred to (``dest->refcnt``): by its service's table or the trash, by
        connections, templates and caches. The tables of dh, sh and mh let go of a server before it is deleted."""
        return 1 + self.conns + self.persistent + self.holders

    @property
    def referenced(self) -> bool:
        """Whether anything but the trash still knows it."""
        return bool(self.conns or self.persistent or self.holders)


@mypyc_attr(allow_interpreted_subclasses=True)
class VirtualService(Part):
    """A virtual service (``struct ip_vs_service``). ``netmask`` is the wire's u32; ``timeout`` is in jiffies of HZ=100,
    whatever those of the kernel are."""

    __slots__ = (
        "address", "counters", "destinations", "family", "flags", "fwmark", "identity", "netmask", "persistence_engine",
        "port", "protocol", "scheduler", "scheduler_name", "timeout",
    )  # fmt: skip

    def __init__(self, family: int, fwmark: int | None, protocol: int, address: bytes, port: int) -> None:
        self.family = family
        self.fwmark = fwmark or 0
        self.protocol = protocol
        self.address = address
        self.port = port
        self.identity: Identity = (family, fwmark, protocol, b"", 0) if fwmark else (family, 0, protocol, address, port)
        """What revival compares: a service made anew with the same key is the same here."""
        self.flags = F_HASHED
        self.timeout = 0
        self.netmask = 0
        self.persistence_engine = ""
        self.scheduler: Scheduler | None = None
        self.scheduler_name = "none"
        self.destinations: dict[tuple[bytes, int], RealServer] = {}
        """Oldest first; the kernel's list is this reversed (:meth:`servers`). Keyed by address (4 or 16 bytes) and port."""
        self.counters = Counters()

    def __repr__(self) -> str:
        return f"<VirtualService {self.name} {self.scheduler_name} servers {len(self.destinations)}>"

    @property
    def name(self) -> str:
        """Its key as ipvsadm lists it: ``TCP 192.0.2.1:80``, ``FWM 7``."""
        if self.fwmark:
            return f"FWM {self.fwmark}{' IPv6' if self.family == AF_INET6 else ''}"
        return f"{_PROTOCOLS.get(self.protocol, str(self.protocol)).upper()} {shown(self.address, self.port)}"

    @property
    def persistent(self) -> bool:
        """Whether it keeps clients on their server."""
        return bool(self.flags & F_PERSISTENT)

    @property
    def one_packet(self) -> bool:
        """Whether a UDP connection lives for one packet only."""
        return bool(self.flags & F_ONEPACKET)

    def pick(self, flow: Flow) -> RealServer | None:
        """The server that its scheduler gives a new connection; None where it has none, or no scheduler."""
        scheduler = self.scheduler
        return cast("RealServer | None", scheduler.pick(flow)) if scheduler is not None else None

    def servers(self) -> Iterator[RealServer]:
        """Its real servers in the kernel's list order: newest first."""
        return reversed(self.destinations.values())


@mypyc_attr(allow_interpreted_subclasses=True)
class Buckets(Part):
    """One of the kernel's two service hash tables: 256 buckets, newest first in each."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: list[dict[VirtualService, None]] = [{} for _ in range(BUCKETS)]

    def add(self, bucket: int, service: VirtualService) -> None:
        """Put it at the bucket's head."""
        self._buckets[bucket][service] = None

    def remove(self, bucket: int, service: VirtualService) -> None:
        """Take it out."""
        del self._buckets[bucket][service]

    def __iter__(self) -> Iterator[VirtualService]:
        """All of them in dump order."""
        return chain.from_iterable(map(reversed, self._filled()))

    def _filled(self) -> Iterator[Reversible[VirtualService]]:
        return (bucket for bucket in self._buckets if bucket)
