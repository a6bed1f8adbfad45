"""Connections that real servers begin: a persistence engine may let them (ip_vs_new_conn_out,
net/netfilter/ipvs/ip_vs_core.c, Linux 6.1)."""

from __future__ import annotations

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.packets import UDP, Packet
from ipvssim.path.connection_table import ConnectionTable
from ipvssim.path.connections import F_INACTIVE, F_ONE_PACKET, F_TEMPLATE, MASQUERADE, NO_PORTS, ConnectionEntry
from ipvssim.path.engines import sip
from ipvssim.path.selection import Selection, masked
from ipvssim.state.services import RealServer, VirtualService


@mypyc_attr(allow_interpreted_subclasses=True)
class Initiated(Part):
    """Looks at datagrams of servers that belong to no connection."""

    def __init__(self, connections: ConnectionTable, selection: Selection) -> None:
        self._connections = connections
        self._selection = selection
        self._table = selection.table

    def open(self, packet: Packet) -> ConnectionEntry | None:
        """A connection that a real server begins with a UDP datagram, where its service has a persistence engine that
        allows it: the client's answers then reach that server (``ip_vs_new_conn_out``)."""
        server = self._sender(packet)
        service = server.service if server is not None else None
        if server is None or service is None or not service.persistence_engine or service.fwmark or not service.port:
            return None
        client, virtual_port, port = packet.destination, service.port.to_bytes(2, "big"), packet.key[-4:-2]
        if port == NO_PORTS:
            return None
        flags = server.forwarding | F_INACTIVE
        template = None
        if service.persistent:
            template = self._template(packet, service, server, flags)
            if template is None:
                return None
        if self._selection.is_full():
            if template is not None:
                self._connections.used(template)
            return None
        if service.one_packet:
            flags |= F_ONE_PACKET
        key = b"".join((client, service.address, packet.key[-2:], virtual_port))
        connection = self._connections.open(UDP, key, packet.source, port, flags, server, 0)
        if template is not None:
            self._connections.control(connection, template)
            self._connections.used(template)
        for counters in (server.counters, service.counters, self._table.total):
            counters.conns += 1
        return connection

    def _template(
        self, packet: Packet, service: VirtualService, server: RealServer, flags: int
    ) -> ConnectionEntry | None:
        """The template for what a server begins, made where it is another server's or is none yet."""
        read = sip.call_id(packet)
        if read is None:
            return None
        client = masked(packet.destination, service.netmask)
        key = b"".join((client, service.address, NO_PORTS, service.port.to_bytes(2, "big")))
        template = self._connections.template(UDP, key + read)
        if template is not None:
            if template.server is server and self._selection.is_usable(template):
                return template
            self._connections.orphan(template)
        if self._selection.is_full():
            return None
        port = packet.key[-4:-2]
        return self._selection.open_template(service, (UDP, key, read), server, port, flags | F_TEMPLATE, 0)

    def _sender(self, packet: Packet) -> RealServer | None:
        """The real server behind address translation whose address and port a packet comes from; of several the one that was
        added, or given another method, last (``ip_vs_rs_hash``)."""
        where = packet.source, packet.client_port
        found = [
            service.destinations[where]
            for service in self._table.services()
            if where in service.destinations and (service.fwmark or service.protocol == packet.protocol)
        ]
        return max(
            (server for server in found if server.forwarding == MASQUERADE), key=lambda one: one.hashed, default=None
        )
