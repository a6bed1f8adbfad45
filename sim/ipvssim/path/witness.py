"""What a director that explains sees: the state that a packet met, and what came of it.

The packet path itself gathers nothing. Whoever asks for explanations gets results of another class: they look at the
tables when they are given their packet, which is before anything is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipvsnl.consts import AF_INET
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.packets import AH, ESP, ICMP, ICMPV6, UDP, WITH_PORTS, Packet
from ipvssim.path.memory import Memory
from ipvssim.path.protocols import ISAKMP
from ipvssim.path.result import Result

if TYPE_CHECKING:
    from ipvssim.path.connections import ConnectionEntry
    from ipvssim.path.inbound import Inbound
    from ipvssim.path.outbound import Outbound
    from ipvssim.path.selection import Selection
    from ipvssim.state.namespace import Namespace
    from ipvssim.state.services import VirtualService


class Known(NamedTuple):
    """A connection or template as it was at one moment: its state, and in microseconds how long it still lived, and for how
    long it had (None: it was there before anybody looked)."""

    connection: ConnectionEntry
    state: str
    left: int
    age: int | None


class Before(NamedTuple):
    """What there was for a packet: its connection as a request, as a reply, its template, the service that it would open one
    of. For an ICMP error they are those of the packet that it quotes."""

    packet: Packet
    request: Known | None
    reply: Known | None
    template: Known | None
    service: VirtualService | None


class Witnessed(Result):
    """A result that remembers what its packet met, and tells what decided."""

    before: Before | None = None
    """As it was before this packet."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    def meet(self, packet: Packet) -> None:
        """Its packet is this, and what there is for it is looked at."""
        self.packet = packet
        self.before = self._witness.look(packet)

    def drop(self, reason: str) -> Result:
        """Say that it is dropped; of what is no packet at all, there is no more to say."""
        if self.before is None:
            self.why = (f"It is dropped: {reason}",)
        return super().drop(reason)


@mypyc_attr(allow_interpreted_subclasses=True)
class Witness(Part):
    """Looks before and after, for one director."""

    def __init__(self, namespace: Namespace, selection: Selection, inbound: Inbound, outbound: Outbound) -> None:
        self.table = namespace.table
        self.network = namespace.network
        self.sysctls = namespace.sysctls
        self.clock = namespace.clock
        self.connections = selection.connections
        self.selection = selection
        self.inbound = inbound
        self.accounts = inbound.accounts
        self.outbound = outbound
        self.memory = Memory()

    def result(self) -> Witnessed:
        """A result for the next packet."""
        self.sysctls.taken_reads()
        return Witnessed(self)

    def look(self, packet: Packet) -> Before:
        """What there is for a packet; nothing is changed."""
        asked = self.about(packet)
        protocol, key = self._request_key(asked)
        service = self.selection.service(asked)
        template = None
        if service is not None and service.persistent:
            template = self.connections.template(*self.selection.template_key(service, asked))
        return Before(
            asked, self.known(self.connections.known(protocol, key) if key else None),
            self.known(self.outbound.find(asked)), self.known(template), service,
        )  # fmt: skip

    def about(self, packet: Packet) -> Packet:
        """The packet that decides: of an ICMP error the one that it quotes, as its sender's answer."""
        if packet.protocol != (ICMP if packet.family == AF_INET else ICMPV6):
            return packet
        quoted = self.inbound.errors.quoted.read(packet.data[packet.offset + 8 :], packet.family, reverse=True)
        if quoted is None or not quoted.key or not self.inbound.errors.is_handled(packet):
            return packet
        quoted.mark, quoted.device, quoted.unicast = packet.mark, packet.device, packet.unicast
        return quoted

    def known(self, connection: ConnectionEntry | None) -> Known | None:
        """A connection as it is now."""
        if connection is None:
            return None
        now, since = self.clock.now, self.memory.since(connection)
        left = max(connection.expires - now, 0) if connection.pending else 0
        return Known(connection, connection.state_name, left, None if since is None else now - since)

    def _request_key(self, packet: Packet) -> tuple[int, bytes]:
        if packet.protocol in (AH, ESP):
            return UDP, packet.source + packet.destination + ISAKMP
        return packet.protocol, packet.key if packet.protocol in WITH_PORTS else b""
