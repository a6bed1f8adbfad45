"""What a network is made of: devices, routes, tables of routes, and the answer of a lookup.

Addresses are 4 or 16 bytes in network order.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from ipvsnl.address import unpack
from ipvsnl.consts import AF_INET, AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part

RAW: Final = "raw"
ETHERNET: Final = "ethernet"
DUMMY: Final = "dummy"
LOOPBACK: Final = "loopback"
LOCAL: Final = "local"
UNICAST: Final = "unicast"
BROADCAST: Final = "broadcast"
MULTICAST: Final = "multicast"
UNREACHABLE: Final = "unreachable"
BLACKHOLE: Final = "blackhole"
PROHIBIT: Final = "prohibit"
NONE: Final = "none"
KINDS: Final = (RAW, ETHERNET, DUMMY, LOOPBACK)
"""The kinds of devices."""
ROUTES: Final = (UNICAST, LOCAL, BROADCAST, MULTICAST, UNREACHABLE, BLACKHOLE, PROHIBIT)
"""The kinds of routes."""


def _text(address: bytes) -> str:
    """An address as people write it; ``none`` for no bytes."""
    return unpack(AF_INET if len(address) == 4 else AF_INET6, address) if address else "none"


@mypyc_attr(allow_interpreted_subclasses=True)
class Device(Part):
    """A network device. ``kind`` is ``raw`` (bare IP packets), ``ethernet``, ``dummy`` or ``loopback``; ``addresses`` are
    (address, prefix length). Change them through :class:`Network`, which forgets what it has looked up."""

    __slots__ = ("addresses", "kind", "mac", "mtu", "name", "up")

    def __init__(self, name: str, kind: str, *, up: bool = True, mtu: int = 1500, mac: bytes = b"") -> None:
        self.name = name
        self.kind = kind
        self.up = up
        self.mtu = mtu
        self.mac = mac
        self.addresses: list[tuple[bytes, int]] = []

    def __repr__(self) -> str:
        addresses = "".join(f" {_text(address)}/{length}" for address, length in self.addresses)
        return f"<Device {self.name} {self.kind}{addresses} mtu {self.mtu}{'' if self.up else ' down'}>"


@mypyc_attr(allow_interpreted_subclasses=True)
class Route(Part):
    """One entry of a routing table: ``kind`` is a route type, ``gateway`` and ``source`` are empty where there is none."""

    __slots__ = ("device", "gateway", "kind", "mtu", "source")

    def __init__(
        self, kind: str, device: Device | None = None, *, gateway: bytes = b"", source: bytes = b"", mtu: int = 0
    ) -> None:
        self.kind = kind
        self.device = device
        self.gateway = gateway
        self.source = source
        self.mtu = mtu

    def __repr__(self) -> str:
        device = f" by {self.device.name}" if self.device else ""
        via = f" via {_text(self.gateway)}" if self.gateway else ""
        return f"<Route {self.kind}{device}{via}>"


@mypyc_attr(allow_interpreted_subclasses=True)
class Path(Part):
    """Where packets to one address go.

    ``kind`` is the route's type (``none`` where no route matches); ``device`` is set for local, unicast, broadcast and
    multicast; ``next_hop`` is the gateway, else the address itself; ``source`` is the address that the host would send
    from; ``mtu`` is the route's, else the device's.
    """

    __slots__ = ("device", "gateway", "kind", "mtu", "next_hop", "resolves", "source", "through", "told")

    def __init__(
        self, kind: str, device: Device | None, gateway: bytes, next_hop: bytes, source: bytes, mtu: int
    ) -> None:
        self.kind = kind
        self.device = device
        self.gateway = gateway
        self.next_hop = next_hop
        self.source = source
        self.mtu = mtu
        self.through = mtu
        """What fits of a packet that is only forwarded, which does not heed what the host was told of the way
        (net.ipv4.ip_forward_use_pmtu; IPv6's heed it at last, when they leave)."""
        self.told = False
        """Whether a router had told what fits, when the path was looked up."""
        self.resolves = True
        """Whether the next hop's link-layer address was known, or needs none, when the path was looked up."""

    @property
    def is_local(self) -> bool:
        """Whether the address is one of the host's own."""
        return self.kind == LOCAL

    def beyond(self) -> Path:
        """The same way for a packet that is only forwarded."""
        path = Path(self.kind, self.device, self.gateway, self.next_hop, self.source, self.through)
        path.resolves = self.resolves
        return path

    def __repr__(self) -> str:
        device = f" by {self.device.name}" if self.device else ""
        return f"<Path {self.kind}{device} to {_text(self.next_hop)} from {_text(self.source)} mtu {self.mtu}>"


@mypyc_attr(allow_interpreted_subclasses=True)
class RouteTable(Part):
    """Routes of one family by prefix; the longest that matches wins, and of equal ones the first that was added."""

    __slots__ = ("_bits", "_shifts", "_tables")

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._shifts: list[int] = []
        """How many bits of an address are behind each length of prefix that there is; the longest prefix comes first."""
        self._tables: list[dict[int, Route]] = []
        """The routes of each of these lengths."""

    def add(self, prefix: bytes, length: int, route: Route) -> None:
        """Add one; a second for the same prefix is never chosen."""
        shift = self._bits - length
        place = bisect_left(self._shifts, shift)
        if place == len(self._shifts) or self._shifts[place] != shift:
            self._shifts.insert(place, shift)
            self._tables.insert(place, {})
        self._tables[place].setdefault(int.from_bytes(prefix, "big") >> shift << shift, route)

    def by_length(self) -> list[tuple[int, dict[int, Route]]]:
        """How many bits of an address are behind each length of prefix, and the routes of that length by their number; the
        longest prefix first."""
        return list(zip(self._shifts, self._tables, strict=True))

    def find(self, address: bytes) -> Route | None:
        """The route for an address, or None."""
        number = int.from_bytes(address, "big")
        for place, shift in enumerate(self._shifts):
            route = self._tables[place].get(number >> shift << shift)
            if route is not None:
                return route
        return None
