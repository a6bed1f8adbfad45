"""Answers of servers as the simulated director's servers would send them.

They are not what a capture has where the captured director chose another server, and where it was taken between director and
clients: there an answer is seen only when its source is the virtual address already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvssim.net.packets import WITH_PORTS, Packet, parse4, parse6
from ipvssim.path.connections import F_ALIVE, MASQUERADE, ConnectionEntry
from ipvssim.path.forwarding import nat

if TYPE_CHECKING:
    from ipvssim.doors.captures.flows import Flow
    from ipvssim.path.director import Director


def from_server(data: bytes, packet: Packet, flow: Flow | None, director: Director) -> bytes:
    """The packet of a server behind address translation, as the server that ``flow`` has in the simulation would send it.

    It notes in ``flow`` which server the capture's director used. Without this a connection whose server differs would never
    see an answer, end in another state, and every later pick that looks at connections would differ, too.
    """
    if flow is None or packet.fragment or packet.protocol not in WITH_PORTS:
        return data
    if flow.director is None:
        flow.director = packet.source, packet.client_port
    connection = flow.connection
    if not isinstance(connection, ConnectionEntry) or connection.reply_key == packet.key:
        return data
    table = director.connection_table
    if table.elsewhere is not None:
        table.elsewhere.seek(packet)
    if packet.key in table.replies[packet.protocol]:
        return data
    return _sent_by(connection, data, packet) or data


def from_virtual(data: bytes, packet: Packet, flow: Flow | None) -> bytes | None:
    """The packet that left a director for the client of ``flow``, as its server had sent it before; None where the capture
    shows the server's own packets, or address translation had no part in it."""
    if flow is None or packet.fragment or packet.protocol not in WITH_PORTS:
        return None
    if flow.virtual != (packet.source, packet.client_port) or flow.director is not None:
        return None
    return _sent_by(flow.connection, data, packet) if isinstance(flow.connection, ConnectionEntry) else None


def _sent_by(connection: ConnectionEntry, data: bytes, packet: Packet) -> bytes | None:
    """The packet with the connection's server as its source."""
    if connection.method != MASQUERADE or not connection.flags & F_ALIVE:
        return None
    whole = parse4(data) if data[0] >> 4 == 4 else parse6(data)
    if isinstance(whole, str) or len(connection.address) != len(packet.source):
        return None
    key = b"".join((packet.destination, connection.address, packet.key[-2:], connection.port))
    turned = ConnectionEntry(
        connection.keeper, packet.protocol, key, packet.source, packet.key[-4:-2], MASQUERADE, None, 0
    )
    return nat.reply(whole, turned)
