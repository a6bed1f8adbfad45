"""Choosing a server for a new connection: service, permission, persistence, scheduler, and what happens without one.

After ip_vs_try_to_schedule, *_conn_schedule, ip_vs_schedule, ip_vs_sched_persist and ip_vs_leave
(net/netfilter/ipvs/ip_vs_core.c, Linux 6.1).
"""

from __future__ import annotations

from typing import Final

from ipvsnl.consts import AF_INET, AF_INET6, CONN_F_ONE_PACKET
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import JIFFY
from ipvssim.net.network import UNICAST
from ipvssim.net.packets import OFFSET6, RST, SCTP, SYN, TCP, UDP, Packet
from ipvssim.path.connection_table import ConnectionTable
from ipvssim.path.connections import (
    BYPASS,
    F_INACTIVE,
    F_NO_OUTPUT,
    F_ONE_PACKET,
    F_TEMPLATE,
    MASQUERADE,
    NO_PORTS,
    ConnectionEntry,
)
from ipvssim.path.debug_log import PathLog
from ipvssim.path.defence import Defence
from ipvssim.path.engines import sip
from ipvssim.path.host import Host
from ipvssim.path.protocols.sctp import CID_ABORT, CID_INIT, chunk_type
from ipvssim.path.result import Result
from ipvssim.schedulers import Flow
from ipvssim.state.namespace import Namespace
from ipvssim.state.services import RealServer, VirtualService

FTP: Final = 21
FTP_DATA: Final = 20
_FTP_DATA: Final = FTP_DATA.to_bytes(2, "big")
_DROPPED: Final = "dropped"
_ACCEPTED: Final = "accepted"


@mypyc_attr(allow_interpreted_subclasses=True)
class Selection(Part):
    """Opens connections. ``explaining`` makes it ask schedulers for their reasons before each pick."""

    def __init__(self, namespace: Namespace, connections: ConnectionTable, host: Host) -> None:
        self.table = namespace.table
        self.network = namespace.network
        self.sysctls = namespace.sysctls
        self.clock = namespace.clock
        self.connections = connections
        self.host = host
        self.defence = Defence(namespace, connections)
        self._limited = namespace.behaviours.conn_max
        self.explaining = False
        self.log: PathLog | None = None
        self.unprivileged = 1024
        """net.ipv4.ip_unprivileged_port_start: from there on a port may be FTP's data."""

    # --- which service ---

    def service(self, packet: Packet) -> VirtualService | None:
        """The service for a packet: its mark, then its address and port, then FTP's data, then port 0."""
        table = self.table
        if packet.mark:
            marked = table.by_mark.get((packet.family, packet.mark))
            if marked is not None:
                return marked
        protocol, address, port = packet.protocol, packet.destination, packet.port
        found = table.by_address.get((protocol, address, port))
        if found is not None:
            return found
        if protocol == TCP and table.ftp_services and (port == FTP_DATA or port >= self.unprivileged):
            found = table.by_address.get((TCP, address, FTP))
            if found is not None:
                return found
        if table.port_zero_services:
            return table.by_address.get((protocol, address, 0))
        return None

    def may_open(self, packet: Packet) -> str:
        """Whether the first packet of a connection may be this one: empty if so, else why it is dropped or accepted."""
        data, start, protocol = packet.data, packet.offset, packet.protocol
        if packet.fragment & OFFSET6 and packet.family == AF_INET6:
            return _ACCEPTED  # reassembly let it pass, for its length is wrong (ip_vs_try_to_schedule)
        if packet.quoted:
            return "" if packet.key else _DROPPED
        if protocol == TCP:
            if len(data) < start + 20:
                return _DROPPED
            flags = data[start + 13]
            return "" if not flags & RST and (flags & SYN or self.sysctls.sloppy_tcp) else _ACCEPTED
        if protocol == UDP:
            return "" if len(data) >= start + 8 else _DROPPED
        if protocol == SCTP:
            kind = chunk_type(data, start)
            if kind < 0:
                return _DROPPED
            return "" if kind == CID_INIT or (self.sysctls.sloppy_sctp and kind != CID_ABORT) else _ACCEPTED
        return _ACCEPTED

    # --- opening ---

    def open(self, packet: Packet, result: Result) -> ConnectionEntry | None:
        """A new connection for the packet; None where there is none, with the verdict in ``result``."""
        refused = self.may_open(packet)
        if refused:
            if refused == _DROPPED:
                result.drop("shorter than its transport header")
            else:
                result.accept("no packet that opens a connection")
            return None
        service = self.service(packet)
        if self.log is not None:
            self.log.service(packet, found=service is not None)
        if service is None:
            result.accept("no service")
            return None
        result.service = service
        if self.defence.drops_packet():
            result.drop("drop_packet: the director defends itself")
            return None
        if packet.key[-4:-2] == _FTP_DATA:
            result.accept("client port 20 is never scheduled")
            return None
        if not packet.device and self._is_reply(packet):
            result.accept("the reply of a local server")
            return None
        if service.persistent:
            connection = self._persistent(service, packet, result)
        else:
            connection = self._plain(service, packet, result)
        if connection is None:
            if not result.reason:
                self._leave(service, packet, result)
            return None
        result.opened = True
        server = connection.server
        assert server is not None
        server.counters.conns += 1
        service.counters.conns += 1
        self.table.total.conns += 1
        return connection

    def _is_reply(self, packet: Packet) -> bool:
        key = packet.key
        reverse = packet.destination + packet.source + key[-2:] + key[-4:-2]
        return reverse in self.connections.requests.get(packet.protocol, {})

    def _plain(self, service: VirtualService, packet: Packet, result: Result) -> ConnectionEntry | None:
        if not service.fwmark and packet.port != service.port:
            if self.log is not None and not service.port:
                self.log.port_zero()
            return None
        server = self._pick(service, packet, result)
        if server is None:
            return None
        port = server.port.to_bytes(2, "big") if server.port else packet.key[-2:]
        if self.is_full(result):
            return None
        connection = self._connect(service, packet, server, port)
        if self.log is not None:
            self.log.scheduled(connection)
        return connection

    def is_full(self, result: Result | None = None) -> bool:
        """Whether one connection or template more is more than conn_max, so that the packet is dropped (since 7.2).

        The kernel asks whenever it makes one: a server has been chosen by then, and a template may be there already.
        """
        if not self._limited or len(self.connections) < self.sysctls.conn_max:
            return False
        if result is not None:
            result.drop("conn_max: as many connections are there as may be")
        return True

    def _connect(self, service: VirtualService, packet: Packet, server: RealServer, port: bytes) -> ConnectionEntry:
        flags = server.forwarding | F_INACTIVE
        if server.forwarding != MASQUERADE:
            flags |= F_NO_OUTPUT
        if packet.protocol == UDP and (service.one_packet or server.flags & CONN_F_ONE_PACKET):
            flags |= F_ONE_PACKET
        return self.connections.open(packet.protocol, packet.key, server.address, port, flags, server, packet.mark)

    def _pick(self, service: VirtualService, packet: Packet, result: Result) -> RealServer | None:
        scheduler = service.scheduler
        if scheduler is None:
            if self.log is not None:
                self.log.nobody(service)
            return None
        # an error's quoted packet is read in reverse, and the schedulers that hash destinations read the field as it stands
        destination = packet.source if packet.quoted else packet.destination
        flow = Flow(
            packet.protocol, packet.source, packet.client_port, destination, packet.port, self.clock.now // JIFFY
        )
        if self.explaining:
            result.choice = scheduler.explain(flow)
        if self.log is None:
            return service.pick(flow)
        self.log.picks(service, flow)
        server = service.pick(flow)
        if server is None:
            self.log.nobody(service)
        return server

    # --- persistence ---

    def _persistent(self, service: VirtualService, packet: Packet, result: Result) -> ConnectionEntry | None:
        """A connection placed by the client's template, which is made where there is none to use."""
        port = packet.port
        protocol, key = self.template_key(service, packet)
        if self.log is not None:
            self.log.persistent(packet, key)
        read = b""
        if service.persistence_engine:
            found = sip.call_id(packet)
            if found is None:
                result.drop("no Call-ID that the persistence engine takes")
                return None
            read = found
        template = self.connections.template(protocol, key + read)
        if template is not None and not self.is_usable(template):
            if self.log is not None:
                self.log.unusable(template)
            self.connections.orphan(template)
            template = None
        if template is None:
            server = self._pick(service, packet, result)
            if server is None or self.is_full(result):
                return None
            template_port = server.port.to_bytes(2, "big") if port == service.port != FTP else NO_PORTS
            flags = server.forwarding | F_INACTIVE | F_TEMPLATE
            if server.forwarding != MASQUERADE:
                flags |= F_NO_OUTPUT
            template = self.open_template(service, (protocol, key, read), server, template_port, flags, packet.mark)
        else:
            assert template.server is not None
            server = template.server
        if self.is_full(result):
            self.connections.used(template)
            return None
        real_port = server.port if port == service.port and server.port else port
        connection = self._connect(service, packet, server, real_port.to_bytes(2, "big"))
        self.connections.control(connection, template)
        self.connections.used(template)
        return connection

    def open_template(
        self, service: VirtualService, found_by: tuple[int, bytes, bytes], server: RealServer, port: bytes, flags: int,
        mark: int,
    ) -> ConnectionEntry:  # fmt: skip
        """A new template; what an engine read is the last part of what it is found by, and empty without one."""
        protocol, key, read = found_by
        if read:
            engine = service.persistence_engine, read
            template = self.connections.open_template(protocol, key, server.address, port, flags, server, mark, engine)
        else:
            template = self.connections.open(protocol, key, server.address, port, flags, server, mark)
        template.timeout = service.timeout * JIFFY
        return template

    def template_key(self, service: VirtualService, packet: Packet) -> tuple[int, bytes]:
        """Protocol and key of the template that places a packet's client on a server of a persistent service."""
        client = masked(packet.source, service.netmask)
        protocol, virtual, port = packet.protocol, packet.destination, NO_PORTS
        if packet.port == service.port:
            if service.port != FTP:
                port = packet.key[-2:]
        elif service.fwmark:
            protocol = 0
            virtual = service.fwmark.to_bytes(4, "big").ljust(len(virtual), b"\0")
        return protocol, b"".join((client, virtual, NO_PORTS, port))

    def is_usable(self, template: ConnectionEntry) -> bool:
        """Whether a template's server may be used (``ip_vs_check_template``)."""
        server = template.server
        if server is None or not server.available:
            return False
        return bool(server.weight) or not self.sysctls.expire_quiescent_template

    # --- no server ---

    def _leave(self, service: VirtualService, packet: Packet, result: Result) -> None:
        """What happens without a server: a bypass, the local stack, silence, or an ICMP error."""
        if self.sysctls.cache_bypass and service.fwmark and not packet.quoted and self._is_foreign(packet):
            if self.log is not None:
                self.log.bypass()
            if self.is_full(result):
                return
            flags = BYPASS
            if packet.protocol == UDP and service.one_packet:
                flags |= F_ONE_PACKET
            nowhere = bytes(4 if packet.family == AF_INET else 16)
            result.connection = self.connections.open(
                packet.protocol, packet.key, nowhere, NO_PORTS, flags, None, packet.mark
            )
            return
        if service.port == FTP != packet.port:
            result.accept("no server, and not FTP's control port")
            return
        result.drop("no server")
        if not packet.quoted:
            self.host.port_unreachable(packet, result)

    def _is_foreign(self, packet: Packet) -> bool:
        """Whether the destination counts as some other host's. Of IPv6 only the kind of address is asked for: one of the
        director's own passes, too (``ip_vs_addr_is_unicast``)."""
        if packet.family == AF_INET6:
            return packet.destination[0] != 0xFF
        return self.network.address_type(packet.destination) == UNICAST


def masked(client: bytes, netmask: int) -> bytes:
    """A client's address under a service's netmask: for IPv6 that is a prefix length, for IPv4 the mask as the wire's
    little-endian u32 holds its network-order bytes."""
    if len(client) == 4:
        mask = int.from_bytes(netmask.to_bytes(4, "little"), "big")
        return (int.from_bytes(client, "big") & mask).to_bytes(4, "big")
    drop = 128 - min(netmask, 128)
    return (int.from_bytes(client, "big") >> drop << drop).to_bytes(16, "big")
