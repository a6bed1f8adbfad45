"""What the lane knows of the network: its own addresses, and the plain ways out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvssim.lane.native import ffi, lib
from ipvssim.net.network import ETHERNET, UNICAST, Network

if TYPE_CHECKING:
    from ipvssim.net.routes import Device, Route

_TYPE4: Final = b"\x08\x00"
_ALL: Final = 0xFFFFFFFF
_Prefix = tuple[int, int, "tuple[int, int, bytes] | None", bool]
"""Its number, how many bits are behind it, the way, and whether it is of the local table."""


class Ways:
    """The routes of a network, handed to the lane again when they changed. ``devices`` names devices by their number."""

    def __init__(self, handle: Any, network: Network) -> None:
        self._handle = handle
        self._network = network
        self._known: tuple[Any, ...] = ()
        self._tables: Any = None
        self.devices: list[str] = []

    def refresh(self) -> None:
        """Look whether anything changed. MemoryError."""
        network = self._network
        tables = network.tables4()
        local, main = tables[0].by_length(), tables[1].by_length()
        alone = sum(len(routes) for shift, routes in (*local, *main) if not shift)
        prefixes: list[_Prefix] = [(number, shift, None, True) for shift, routes in local if shift for number in routes]
        prefixes += [
            (number, shift, self._way(route), False)
            for shift, routes in main
            if shift
            for number, route in routes.items()
        ]
        known = (prefixes, alone, len(network.narrowed()))
        if tables is self._tables and known == self._known:
            return
        self._tables, self._known = tables, known
        hosts = [(number, True) for shift, routes in local if not shift for number in routes]
        hosts += [(number, False) for shift, routes in main if not shift for number in routes]
        hosts += [(int.from_bytes(one, "big"), False) for one in network.narrowed() if len(one) == 4]
        self._hand_in(prefixes, [host for host in hosts if host[0]])

    def header(self, device: Device | None, next_hop: bytes) -> bytes | None:
        """What stands before a packet that leaves by a device; None where it can't leave there."""
        if device is None:
            return None
        if device.kind != ETHERNET:
            return b""
        header = self._network.neighbours.get((device.name, next_hop), b"") + device.mac + _TYPE4
        return header if len(header) == 14 else None

    def number(self, device: str) -> int:
        """The number of a device."""
        if device not in self.devices:
            self.devices.append(device)
        return self.devices.index(device)

    def _way(self, route: Route) -> tuple[int, int, bytes] | None:
        """MTU, device and header of a route that is plain: by a gateway, or by a device without link-layer addresses."""
        device = route.device
        if route.kind != UNICAST or device is None or (device.kind == ETHERNET and len(route.gateway) != 4):
            return None
        header = self.header(device, route.gateway)
        return None if header is None else (route.mtu or device.mtu, self.number(device.name), header)

    def _hand_in(self, prefixes: list[_Prefix], hosts: list[tuple[int, bool]]) -> None:
        rows, ways = (
            ffi.new("struct lane_prefix[]", len(prefixes) or 1),
            ffi.new("struct lane_way[]", len(prefixes) or 1),
        )
        for place, (number, shift, way, local) in enumerate(prefixes):
            row = rows[place]
            row.value, row.mask, row.local = number, _ALL >> shift << shift, local
            row.way, row.plain = place, way is not None
            if way is not None:
                put(ways[place], *way)
        addresses = ffi.new("uint32_t[]", [number for number, _ in hosts] or [0])
        own = ffi.new("uint8_t[]", [int(mine) for _, mine in hosts] or [0])
        if lib.lane_route(self._handle, rows, len(prefixes), ways, len(prefixes), addresses, own, len(hosts)):
            raise MemoryError("the routes of the lane")


def put(way: Any, mtu: int, device: int, header: bytes) -> None:
    """Write a way."""
    way.mtu, way.device, way.header_size = mtu, device, len(header)
    ffi.memmove(way.header, header, len(header))
