"""What decided a packet's way, in sentences: of requests and replies. What is only passed on: :mod:`ipvssim.path.strays`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ipvsnl.consts import AF_INET
from ipvssim.clock import JIFFY
from ipvssim.net.packets import SCTP, SYN, TCP
from ipvssim.path.connections import (
    BYPASS,
    F_ALIVE,
    F_NO_OUTPUT,
    F_ONE_PACKET,
    MASQUERADE,
    ConnectionEntry,
)
from ipvssim.path.defence import ALWAYS
from ipvssim.path.explain import METHODS, connection_text, endpoint, whom
from ipvssim.path.protocols.sctp import CID_INIT, chunk_type
from ipvssim.path.result import DROP, FORWARD, HELD, TO_HOST, Result
from ipvssim.path.selection import FTP, masked
from ipvssim.path.strays import UNSERVED, Strays, seconds
from ipvssim.path.witness import Before, Known, Witness, Witnessed
from ipvssim.schedulers._base import address_text, label
from ipvssim.state.sysctls import PREFIX

if TYPE_CHECKING:
    from ipvssim.state.services import VirtualService

_UNSCHEDULED = ("client port 20 is never scheduled", "the reply of a local server")


def tell(witness: Witness, result: Result) -> None:
    """The packet is done: let its result say what decided."""
    if not isinstance(result, Witnessed) or result.before is None:
        return
    before, sysctls = result.before, witness.sysctls
    result.consulted = {name: sysctls.read(PREFIX + name) for name in sysctls.taken_reads()}
    found = before.request or before.reply
    if found is not None:
        result.state_before, result.lived = found.state, found.age
    result.why = tuple(Reasons(witness, result, before).all())


class Reasons:
    """The sentences about one packet."""

    def __init__(self, witness: Witness, result: Witnessed, before: Before) -> None:
        self.witness, self.result, self.before = witness, result, before
        self.packet = before.packet
        self.sysctls = witness.sysctls
        self.icmp = before.packet.quoted

    def all(self) -> Iterator[str]:
        """All of them, in the order of the packet's way."""
        result = self.result
        if result.verdict is HELD:
            yield f"It is a fragment: {result.reason}"
            return
        if self.icmp and result.connection is not None:
            yield "It is an ICMP error; what it quotes decides"
        if result.service is not None:
            yield from self._opening(result.service)
        elif result.connection is not None:
            yield from self._known(result.connection)
        else:
            if self.before.request is not None and result.reason in UNSERVED:
                yield self._replaced(self.before.request)
            yield from Strays(self.witness, result, self.before).all()
            return
        yield from self._sent()
        if result.connection is not None:
            yield from self._after(result.connection)

    # --- a packet that may open a connection ---

    def _opening(self, service: VirtualService) -> Iterator[str]:
        result = self.result
        yield self._service(service)
        if self.before.request is not None:
            yield self._replaced(self.before.request)
        if self.icmp:
            yield "schedule_icmp=1 lets an ICMP error open a connection"
        elif self.packet.protocol == TCP and not self._is_syn():
            yield "It does not begin a connection, but sloppy_tcp=1 lets any packet but a RST open one"
        elif self.packet.protocol == SCTP and not self._is_new():
            yield "It does not begin a connection, but sloppy_sctp=1 lets any packet but an ABORT open one"
        if result.reason.startswith("drop_packet"):
            rate, scarce = (
                f"{self.sysctls.am_droprate} (am_droprate)",
                "so many, since free memory is below amemthresh,",
            )
            mode = self.sysctls.drop_packet
            yield f"drop_packet={mode} drops one in {rate if mode == ALWAYS else scarce} of the packets that could open one"
            return
        if result.reason in _UNSCHEDULED:
            yield f"It is not balanced: {result.reason}"
            return
        if service.persistent:
            yield self._template(service)
        if result.choice is not None:
            yield str(result.choice["why"])
        elif not result.opened:
            yield from self._unasked(service)
        if not result.opened:
            yield from self._left(service)

    def _service(self, service: VirtualService) -> str:
        packet, servers = self.packet, len(service.destinations)
        what = f"({service.scheduler_name}, {servers} {'server' if servers == 1 else 'servers'})"
        if service.fwmark:
            return f"The virtual service {service.name} {what} takes packets with firewall mark {service.fwmark}"
        if service.port == packet.port:
            return f"{service.name} is a virtual service {what}"
        port = f"{address_text(packet.destination)} has no service for port {packet.port} alone"
        if service.port == FTP:
            return f"{port}, but one for FTP, {service.name} {what}, which takes its data connections"
        return f"{port}, but one for all ports, {service.name} {what}"

    def _replaced(self, known: Known) -> str:
        server, mode = known.connection.server, self.sysctls.conn_reuse_mode
        had = f"A connection of this client and port was known, to {whom(known.connection)}, in {known.state}{_for(known)}"
        reuse = f"conn_reuse_mode={mode} lets a new one replace one in this state" if self._is_over(known, mode) else ""
        both = f" (and {reuse})" if reuse else ""
        if self.sysctls.expire_nodest_conn and server is not None:
            if not server.weight:
                return (
                    f"{had}: its server has weight 0, and expire_nodest_conn=1 lets a new connection replace it{both}"
                )
            if not server.available:
                return f"{had}: its server is gone, and expire_nodest_conn=1 ends it{both}"
        return f"{had}: {reuse or 'it makes place for a new one'}"

    def _is_over(self, known: Known, mode: int) -> bool:
        """Whether ``conn_reuse_mode``, being ``mode``, lets this packet replace the connection."""
        connection = known.connection
        if not mode or connection.control is not None or not self._is_new():
            return False
        if connection.protocol == SCTP:
            return known.state == "CLOSED"
        if known.state in ("TIME_WAIT", "CLOSE"):
            return True
        return bool(mode & 2 and known.state == "FIN_WAIT" and connection.flags & F_NO_OUTPUT)

    def _is_new(self) -> bool:
        """Whether it is a packet that begins a connection of a protocol that has such packets."""
        if self.packet.protocol == SCTP:
            return chunk_type(self.packet.data, self.packet.offset) == CID_INIT
        return self.packet.protocol == TCP and self._is_syn()

    def _is_syn(self) -> bool:
        data, start = self.packet.data, self.packet.offset
        return self.packet.protocol != TCP or len(data) < start + 14 or bool(data[start + 13] & SYN)

    def _template(self, service: VirtualService) -> str:
        template = self.before.template
        client = self._client(service)
        if template is None:
            kept = seconds(service.timeout * JIFFY)
            return f"No template holds {client}: the scheduler is asked, and {client} is to stay for {kept}"
        server = template.connection.server
        whose = f"A template holds {client} on {label(server)}{_for(template)}"
        if server is None or not server.available:
            return f"{whose}, but that server is gone: the scheduler is asked anew"
        if not server.weight and self.sysctls.expire_quiescent_template:
            return f"{whose}, but that server has weight 0, and expire_quiescent_template=1 makes its templates void"
        fit = "" if server.weight else "; that it has weight 0 does not matter, since expire_quiescent_template=0"
        left = seconds(template.left)
        return f"{whose}, and would for {left} more: the scheduler is not asked, and the time begins anew{fit}"

    def _client(self, service: VirtualService) -> str:
        own = address_text(masked(self.packet.source, service.netmask))
        bits = service.netmask.bit_count() if self.packet.family == AF_INET else service.netmask
        return own if bits == len(self.packet.source) * 8 else f"{own}/{bits}"

    def _unasked(self, service: VirtualService) -> Iterator[str]:
        if service.scheduler is None:
            yield f"{service.name} has no scheduler, so nobody can be picked"
        elif not service.persistent and not service.fwmark and service.port != self.packet.port:
            yield f"{service.name} is not persistent, and only persistent services take other ports than their own"

    def _left(self, service: VirtualService) -> Iterator[str]:
        """What happens without a server."""
        result = self.result
        if result.connection is not None:
            yield "cache_bypass=1 sends it on to its own destination, past the servers"
        elif result.verdict is TO_HOST:
            yield f"Without a server, the host itself gets it, since {service.name} is FTP's"
        elif result.out:
            yield "Without a server, the client is told that the port is unreachable (ICMP)"
        else:
            yield "Without a server, it is dropped"

    # --- known connections ---

    def _known(self, connection: ConnectionEntry) -> Iterator[str]:
        known = self.before.reply if self._is_reply(connection) else self.before.request
        whose = connection_text(connection)
        if known is None or known.connection is not connection:
            yield f"It belongs to the connection {whose}"
            return
        lives = f", in {known.state}{_for(known)}, with {seconds(known.left)} left"
        if known is self.before.reply and known is not self.before.request and self.result.reason != "known connection":
            yield f"It is a reply of the connection {whose}{lives}"
            if connection.method == MASQUERADE and self.result.verdict is not DROP:
                virtual = endpoint(connection.virtual, connection.virtual_port)
                yield f"The client sees it come from {virtual}: address translation is undone"
            return
        yield f"The connection {whose} is known{lives}: no scheduler is asked"
        yield from self._kept(known)

    def _is_reply(self, connection: ConnectionEntry) -> bool:
        reply, request = self.before.reply, self.before.request
        if reply is None or reply.connection is not connection:
            return False
        return request is None or request.connection is not connection

    def _kept(self, known: Known) -> Iterator[str]:
        """Why a connection stays with its server where one might expect that it does not."""
        server, packet = known.connection.server, self.packet
        if server is None:
            return
        if not server.available:
            yield f"Its server {label(server)} was deleted; expire_nodest_conn=0 keeps the connection, and drops its packets"
            return
        if not server.weight:
            yield "Its server has weight 0: it gets no new connections, and keeps this one"
        elif server.overloaded:
            yield "Its server is overloaded: it gets no new connections, and keeps this one"
        if self._is_new() and not packet.quoted:
            yield self._not_replaced(known)

    def _not_replaced(self, known: Known) -> str:
        mode = self.sysctls.conn_reuse_mode
        said = "It begins a connection, but"
        for other in (1, 2):
            if self._is_over(known, other):
                return f"{said} conn_reuse_mode={mode} lets none replace one in {known.state}, as {other} would"
        if known.connection.control is not None:
            return f"{said} a template placed the known one, and those are not replaced"
        return f"{said} the known one is in {known.state}, and only those that are over are replaced"

    # --- its end ---

    def _sent(self) -> Iterator[str]:
        result = self.result
        connection = result.connection
        if connection is None or self._is_reply(connection):
            if result.verdict is DROP and connection is not None:
                yield f"It is dropped: {result.reason}"
            return
        if result.verdict is FORWARD:
            yield f"It is sent to {self._target(connection)} by {METHODS[connection.method]}"
        elif result.verdict is TO_HOST:
            yield f"The host itself gets it: {result.reason}"
        elif result.reason != "its server is gone":
            yield f"On the way to {self._target(connection)} it is dropped: {result.reason}"

    def _target(self, connection: ConnectionEntry) -> str:
        if connection.method == BYPASS:
            return address_text(self.packet.destination)
        return endpoint(connection.address, connection.port)

    def _after(self, connection: ConnectionEntry) -> Iterator[str]:
        if connection.flags & F_ONE_PACKET:
            yield "One-packet scheduling keeps no connection"
            return
        if not connection.flags & F_ALIVE or not connection.pending:
            return
        left = seconds(max(connection.expires - self.witness.clock.now, 0))
        state, had = connection.state_name, self.result.state_before
        if self.result.opened or not had or had == state:
            yield f"The connection is in {state} now; without another packet it ends in {left}"
        else:
            yield f"The connection goes from {had} to {state}; without another packet it ends in {left}"


def _for(known: Known) -> str:
    return "" if known.age is None else f" (begun {seconds(known.age)} ago)"
