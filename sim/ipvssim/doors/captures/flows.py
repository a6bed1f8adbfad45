"""What a capture's packets made of each connection, and whether the captured director chose as the simulated one did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ipvsnl.address import shown
from ipvsnl.consts import PROTOCOLS
from ipvssim.net.packets import Packet
from ipvssim.path.connections import F_ALIVE, F_ONE_PACKET, ConnectionEntry

if TYPE_CHECKING:
    from ipvssim.path.result import Result

Place = tuple[bytes, int]
"""An address and a port (0: not known)."""
_NAMES = {number: word.upper() for word, number in PROTOCOLS.items()}


class Away:
    """A connection that somebody else keeps (:mod:`ipvssim.lane`), or that ended there."""

    __slots__ = ("flags",)

    def __init__(self, flags: int) -> None:
        self.flags = flags


KEPT, ENDED = Away(F_ALIVE), Away(0)


class Flow:
    """A connection of the simulated director, or what a client sent that none came of (``server`` is None then).

    ``director`` is the server that the captured director used: its place, or its MAC address; None where nothing tells.
    """

    __slots__ = (
        "back_bytes", "back_packets", "began", "client", "connection", "director", "in_bytes", "in_packets", "number",
        "protocol", "reason", "scheduler", "server", "states", "virtual",
    )  # fmt: skip

    def __init__(self, number: int, protocol: int, client: Place, virtual: Place, began: int) -> None:
        self.number = number
        self.protocol = protocol
        self.client = client
        self.virtual = virtual
        self.began = began
        self.connection: ConnectionEntry | Away | None = None
        self.server: Place | None = None
        self.scheduler = self.reason = ""
        self.states: list[str] = []
        self.in_packets = self.in_bytes = self.back_packets = self.back_bytes = 0
        self.director: Place | bytes | None = None

    @property
    def protocol_name(self) -> str:
        """``TCP``."""
        return _NAMES.get(self.protocol, f"protocol {self.protocol}")

    @property
    def name(self) -> str:
        """``TCP 192.0.2.1:1024 -> 203.0.113.1:80``."""
        return f"{self.protocol_name} {shown(*self.client)} -> {shown(*self.virtual)}"

    @property
    def end(self) -> str:
        """How it stands at the end of the capture."""
        connection = self.connection
        if connection is None:
            return "never opened"
        if connection.flags & F_ONE_PACKET:
            return "one packet"
        return "open" if connection.flags & F_ALIVE else "expired"

    def saw(self) -> None:
        """A packet was handled: its state may be another."""
        connection = self.connection
        if isinstance(connection, ConnectionEntry) and not connection.flags & F_ONE_PACKET:
            state = connection.state_name
            if not self.states or self.states[-1] != state:
                self.states.append(state)


class Verdict(NamedTuple):
    """A flow of which the capture and the simulation both name the server: ``director`` is the capture's, as text."""

    flow: Flow
    director: str
    agrees: bool


class Learnt(Protocol):
    """Who wants to know whose MAC addresses are."""

    def __call__(self, mac: bytes, *, whose: bool) -> object:
        """``whose``: it is known."""


class Flows:
    """All flows of one capture, in the order in which they began."""

    def __init__(self) -> None:
        self.all: list[Flow] = []
        self.macs: dict[bytes, bytes] = {}
        """MAC address to the server's address, where that is known."""
        self.assumed: dict[bytes, bytes] = {}
        """The same where it is only inferred (:meth:`compare`), and from what."""
        self.assumed_by = ""
        self.direct: set[bytes] = set()
        """The addresses of the servers that direct routing leads to."""
        self.on_touch: Callable[[Flow], object] | None = None
        """Called with a flow before it is looked at or changed, where somebody else keeps some of it."""
        self.on_learn: Learnt | None = None
        """Called with a MAC address that a server's packet came from, and whether it is known whose it is."""
        self.by_connection: dict[ConnectionEntry, Flow] = {}
        self._without: dict[tuple[int, bytes], Flow] = {}

    def request(self, packet: Packet, result: Result, when: int) -> Flow:
        """A request and what became of it; its flow."""
        connection = result.connection
        if connection is not None and connection in self.by_connection:
            flow = self._touched(self.by_connection[connection])
        elif connection is not None:
            flow = self._new(packet, when)
            flow.connection, flow.server = connection, (connection.address, int.from_bytes(connection.port, "big"))
            flow.protocol = connection.protocol
            flow.client = connection.client, int.from_bytes(connection.client_port, "big")
            flow.virtual = connection.virtual, int.from_bytes(connection.virtual_port, "big")
            if result.service is not None:
                flow.scheduler = result.service.scheduler_name + (", persistent" if result.service.persistent else "")
            flow.reason = result.reason
            self.by_connection[connection] = flow
        else:
            known = self._without.get((packet.protocol, packet.key))
            same = known is not None and known.reason == result.reason
            flow = self._touched(known) if known is not None and same else self._new(packet, when)
            flow.reason = result.reason
            self._without[packet.protocol, packet.key] = flow
        flow.in_packets += 1
        flow.in_bytes += len(packet.data)
        flow.saw()
        return flow

    def reply(self, packet: Packet, result: Result) -> Flow | None:
        """What came from a server, and the connection that it answered; its flow."""
        flow = self.by_connection.get(result.connection) if result.connection is not None else None
        if flow is not None:
            self._touched(flow)
            flow.back_packets += 1
            flow.back_bytes += len(packet.data)
            flow.saw()
        return flow

    def learn(self, mac: bytes, server: bytes) -> None:
        """A server's packet came from that MAC address. One that two servers come from is a router's."""
        if self.macs.setdefault(mac, server) != server:
            self.macs[mac] = b""
        if self.on_learn is not None:
            self.on_learn(mac, whose=bool(self.macs[mac]))

    def compare(self) -> list[Verdict]:
        """Every flow of which the capture and the simulation both name the server.

        A server that direct routing leads to is known by its MAC address. Where nothing tells whose that is, it is inferred:
        from the last byte, if those of all such MAC addresses are the last of different servers' addresses; else it is taken
        to be the server that most of its flows went to in the simulation, if no other is so already.
        """
        both = [(flow, flow.director, flow.server) for flow in self.all if flow.director and flow.server]
        self._assume([(director, server[0]) for _, director, server in both if isinstance(director, bytes)])
        verdicts = []
        for flow, director, server in both:
            if isinstance(director, bytes):
                address = self.macs.get(director) or self.assumed.get(director)
                if not address:
                    verdicts.append(Verdict(flow, director.hex(":"), agrees=False))
                    continue
                director = address, 0
            address, port = director[0], director[1] or server[1]
            verdicts.append(Verdict(flow, shown(address, port), (address, port) == server))
        return verdicts

    def _new(self, packet: Packet, when: int) -> Flow:
        client, virtual = (packet.source, packet.client_port), (packet.destination, packet.port)
        flow = Flow(len(self.all) + 1, packet.protocol, client, virtual, when)
        self.all.append(flow)
        return self._touched(flow)

    def _touched(self, flow: Flow) -> Flow:
        if self.on_touch is not None:
            self.on_touch(flow)
        return flow

    def _assume(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Pairs of a MAC address and the server's address in the simulation, a pair a flow."""
        self.assumed = self._by_last_byte({mac for mac, _ in pairs if not self.macs.get(mac)})
        if self.assumed:
            self.assumed_by = "by its last byte"
            return
        self.assumed_by = "where the twin sent most of its flows"
        taken = set(self.macs.values())
        for (mac, address), _ in Counter(pairs).most_common():
            if not self.macs.get(mac) and mac not in self.assumed and address not in taken:
                self.assumed[mac] = address
                taken.add(address)

    def _by_last_byte(self, macs: set[bytes]) -> dict[bytes, bytes]:
        """Servers whose addresses end as the MAC addresses do (.82: in 52, or in 82 as people write it); empty unless each
        has one of its own."""
        found = {}
        for mac in macs:
            ends = {mac[-1], int(f"{mac[-1]:x}") if f"{mac[-1]:x}".isdecimal() else mac[-1]}
            alike = [address for address in self.direct if address[-1] in ends]
            if len(alike) != 1:
                return {}
            found[mac] = alike[0]
        return found if len(set(found.values())) == len(macs) else {}
