"""What is remembered of a capture's packets, so that later ones are known by it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ipvssim.doors.captures.flows import Flow

REMEMBERED = 8192
"""Requests of which a copy may still come."""


class First(NamedTuple):
    """A request as it came: by which interface, to which MAC address, its lifetime, when, and its flow."""

    interface: str
    target: bytes
    hops: int
    when: int
    flow: Flow | None


class Memory:
    """The memory of one capture. ``own_macs`` and ``own_addresses`` are what the captured director has, as far as its
    packets told: what goes on between it and others is not played. ``any_request``: one came in so far."""

    any_request: bool

    def __init__(self) -> None:
        self.any_request = False
        self.own_macs: set[bytes] = set()
        self.own_addresses: set[bytes] = set()
        self._flows: dict[tuple[int, bytes], Flow] = {}
        self._addresses: set[bytes] = set()
        self._recent: OrderedDict[bytes, First] = OrderedDict()

    def flow(self, protocol: int, place: bytes) -> Flow | None:
        """The flow that a client, by its address and port, opened last."""
        return self._flows.get((protocol, place))

    def asked(self, protocol: int, place: bytes, flow: Flow) -> None:
        """A client's request is of that flow."""
        self._flows[protocol, place] = flow

    def is_client(self, address: bytes) -> bool:
        """Whether a request came from there."""
        return address in self._addresses

    def client(self, address: bytes) -> None:
        """A request came from there."""
        self._addresses.add(address)

    def first(self, print: bytes) -> First | None:
        """The request that a copy with that print would be of."""
        return self._recent.get(print)

    def remember(self, print: bytes, first: First) -> None:
        """A request came in; the oldest is forgotten."""
        recent = self._recent
        recent.pop(print, None)
        recent[print] = first
        if len(recent) > REMEMBERED:
            recent.popitem(last=False)

    def own_mac(self, mac: bytes) -> None:
        """The captured director has it."""
        self.own_macs.add(mac)

    def own_address(self, address: bytes) -> None:
        """The same of an address."""
        self.own_addresses.add(address)
