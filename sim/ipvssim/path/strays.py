"""Why a packet met no service and no connection, in sentences: it is the host's own, passed on, or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ipvsnl.consts import PROTOCOLS
from ipvssim.clock import SECOND
from ipvssim.net.packets import RST, SCTP, SYN, TCP, WITH_PORTS
from ipvssim.path.connections import DIRECT, MASQUERADE
from ipvssim.path.explain import METHODS, endpoint, whom
from ipvssim.path.protocols.sctp import CID_ABORT, chunk_type
from ipvssim.path.result import DROP, FORWARD, TO_HOST
from ipvssim.schedulers._base import address_text, label

if TYPE_CHECKING:
    from ipvssim.path.result import Result
    from ipvssim.path.witness import Before, Witness
    from ipvssim.state.services import RealServer, VirtualService

_MOST = 3
"""So many services or servers are named; of more there is a number."""
_WORDS = {number: word.upper() for word, number in PROTOCOLS.items()}
_NO_SERVICE, _OPENS_NOTHING, _STRAY = (
    "no service", "no packet that opens a connection", "a server's packet of no connection",
)  # fmt: skip
UNSERVED = (_NO_SERVICE, _OPENS_NOTHING)
"""The reasons of packets that had no connection, or lost it, and open none."""


def seconds(microseconds: int) -> str:
    """``12 s``, ``0.25 s``."""
    return f"{round(microseconds / SECOND, 2):g} s"


class Strays:
    """The sentences about one packet that IPVS leaves alone."""

    def __init__(self, witness: Witness, result: Result, before: Before) -> None:
        self.witness, self.result, self.before = witness, result, before
        self.packet = before.packet
        self.table, self.sysctls = witness.table, witness.sysctls

    def all(self) -> Iterator[str]:
        """All of them."""
        result = self.result
        if result.verdict is DROP and result.reason != _STRAY:
            yield f"It is dropped: {result.reason}"
            return
        if result.verdict is FORWARD:
            yield from self._not_own()
        elif result.reason == _OPENS_NOTHING:
            yield from self._opens_nothing()
        elif result.reason == _NO_SERVICE:
            yield self._no_service()
        elif result.verdict is TO_HOST:
            yield from self._unbalanced()
        yield from self._from_server()
        if result.reason == _STRAY:
            yield "nat_icmp_send=1 answers a server's packet of no connection with ICMP port unreachable"
        elif result.verdict is FORWARD:
            yield "It is forwarded, as any router does"
        else:
            yield f"The host itself gets it: {result.reason}"

    # --- towards the director ---

    def _not_own(self) -> Iterator[str]:
        packet = self.packet
        where = address_text(packet.destination)
        yield f"{where} is no address of the director's, so the packet is for no virtual service"
        if packet.mark and (packet.family, packet.mark) in self.table.by_mark:
            yield f"Its mark {packet.mark} has a service, but only packets that are routed to the director are balanced"
        elif any(service.address == packet.destination for service in self._addressed()):
            yield f"A service has the address {where}, but the director's host does not"

    def _no_service(self) -> str:
        packet = self.packet
        where, protocol = address_text(packet.destination), _WORDS.get(packet.protocol, str(packet.protocol))
        mark = f"mark {packet.mark} has none, and " if packet.mark else ""
        here = [service for service in self._addressed() if service.address == packet.destination]
        if here:
            has = _listed([f"{_WORDS.get(one.protocol, one.protocol)} :{one.port}" for one in here])
            return f"It is for no virtual service: {mark}{protocol} port {packet.port} has none, {where} has {has}"
        marks = _listed([str(service.fwmark) for service in self.table.services() if service.fwmark])
        by_mark = f" (services by firewall mark take marks {marks})" if marks else ""
        return f"It is for no virtual service: {mark}{where} has none{by_mark}"

    def _opens_nothing(self) -> Iterator[str]:
        packet = self.packet
        if packet.quoted:
            return
        key = packet.key
        ended = self.witness.memory.last_request(packet.protocol, key) if self.before.request is None else None
        if ended is not None:
            how = "expired" if ended.expired else "was removed"
            ago = seconds(self.witness.clock.now - ended.when)
            yield f"The last connection of this client and port, to {whom(ended.connection)}, {how} {ago} ago"
        elif self.before.request is None:
            yield "No connection of this client and port is known"
        if (
            packet.protocol == SCTP
            and not self.sysctls.sloppy_sctp
            and chunk_type(packet.data, packet.offset) != CID_ABORT
        ):
            yield "It is no INIT, and sloppy_sctp=0 lets only an INIT open a connection"
            return
        if packet.protocol != TCP:
            yield "It is none of the packets that open a connection"
            return
        flags = packet.data[packet.offset + 13]
        if flags & RST:
            yield "A RST opens no connection"
        elif not flags & SYN:
            yield "It is no SYN, and sloppy_tcp=0 lets only a SYN open a connection"

    def _unbalanced(self) -> Iterator[str]:
        packet = self.packet
        if not self.table.ever_used:
            yield "No virtual service was ever added"
        elif not self.witness.inbound.watches() and packet.protocol in self.witness.accounts.machines:
            yield "backup_only=1: a backup balances nothing"
        elif packet.quoted:
            about = f"a packet of {endpoint(packet.destination, packet.key[-2:])}"
            could = self.before.service is not None and packet.protocol in WITH_PORTS and not self.sysctls.schedule_icmp
            schedule = "; schedule_icmp=0 lets an ICMP error open none" if could else ""
            yield f"It is an ICMP error about {about}, of which no connection is known{schedule}"
        elif packet.protocol not in self.witness.accounts.machines:
            yield "Only TCP, UDP, SCTP, AH and ESP are balanced, and ICMP errors that belong to a connection"

    # --- from a server ---

    def _from_server(self) -> Iterator[str]:
        """Of whom its source is a real server, and why it is no reply."""
        packet = self.packet
        if packet.quoted or packet.protocol not in WITH_PORTS or not packet.key:
            return
        found = [
            (service, server) for service in self.table.services() for server in service.servers()
            if server.address == packet.source
        ]  # fmt: skip
        found.sort(key=lambda one: one[1].port != packet.client_port)
        for service, server in found[:_MOST]:
            yield self._whose(service, server)
        if len(found) > _MOST:
            yield f"It is one of {len(found) - _MOST} more services, too"

    def _whose(self, service: VirtualService, server: RealServer) -> str:
        packet, method = self.packet, METHODS[server.forwarding]
        said = f"{label(server)} is a real server of {service.name} by {method}"
        if server.forwarding != MASQUERADE:
            way = "they come from the virtual address, and not through the director" if server.forwarding == DIRECT else (
                "they come from the virtual address"
            )  # fmt: skip
            return f"{said}, but this is no reply to a client: {way}"
        if not service.fwmark and service.protocol != packet.protocol:
            return f"{said}, and this packet is {_WORDS.get(packet.protocol, 'of another protocol')}"
        if server.port and server.port != packet.client_port:
            return f"{said}, and this packet comes from port {packet.client_port}"
        return f"{said}, but no connection fits: {self._why_none(service)}"

    def _why_none(self, service: VirtualService) -> str:
        packet = self.packet
        ended = self.witness.memory.last_reply(packet.protocol, packet.key)
        if ended is not None:
            how = "expired" if ended.expired else "was removed"
            return f"the last one {how} {seconds(self.witness.clock.now - ended.when)} ago"
        if service.one_packet and packet.protocol != TCP:
            return "one-packet scheduling keeps none"
        return f"none with the client {endpoint(packet.destination, packet.key[-2:])} was opened"

    def _addressed(self) -> Iterator[VirtualService]:
        return iter(self.table.by_address.values())


def _listed(words: list[str]) -> str:
    shown = words[: _MOST + 1]
    more = f" and {len(words) - len(shown)} more" if len(words) > len(shown) else ""
    if more or len(shown) < 2:
        return ", ".join(shown) + more
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
