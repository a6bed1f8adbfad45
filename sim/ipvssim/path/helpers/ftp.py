"""The FTP helper: what ip_vs_ftp does with the packets of a session (net/netfilter/ipvs/ip_vs_ftp.c, Linux 6.1).

It looks into a packet while the session is ESTABLISHED, and opens a data connection in state LISTEN under the session's
control. A server's 227 or 229 is rewritten to the virtual address; a client's PORT or EPRT is left as it is, since the
server's way to the client is direct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvsnl.consts import AF_INET6
from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.net.packets import TCP, Packet
from ipvssim.path.connections import F_INACTIVE, F_NO_OUTPUT, F_TRACKED, MASQUERADE, NO_PORTS
from ipvssim.path.helpers import words
from ipvssim.path.helpers.entries import ACTIVE, EPSV, PASV, HelpedEntry
from ipvssim.path.protocols import tcp

if TYPE_CHECKING:
    from ipvssim.behaviours import Behaviours
    from ipvssim.path.accounts import Accounts
    from ipvssim.path.connection_table import ConnectionTable
    from ipvssim.path.connections import ConnectionEntry


class Rewriting:
    """``old`` bytes of the payload, from ``start`` on, that become ``new``."""

    __slots__ = ("new", "old", "start")

    def __init__(self, start: int, old: int, new: bytes) -> None:
        self.start, self.old, self.new = start, old, new


@mypyc_attr(allow_interpreted_subclasses=True)
class Ftp(Part):
    """The helper of one namespace."""

    def __init__(self, connections: ConnectionTable, accounts: Accounts, behaviours: Behaviours) -> None:
        self._wraps = not behaviours.helper_numbers
        self._connections = connections
        self._accounts = accounts

    def command(self, packet: Packet, session: HelpedEntry) -> None:
        """A client's packet: what it asks for is remembered, or a connection is made ready for the server to come by."""
        payload = _payload(packet)
        if session.state != tcp.ESTABLISHED or not payload:
            return
        six = packet.family == AF_INET6
        mode = words.asked(payload, six)
        if mode is not None:
            if mode >= 0:
                session.mode = mode
            return
        said = None if six else words.plain(payload, b"PORT", b" ", wraps=self._wraps)
        said = said or words.extended(payload, b"EPRT", b" ", six, answer=False)
        if said is None:
            return
        session.mode = ACTIVE
        key = b"".join((said.address, session.virtual, _port(said.port), _less(session.virtual_port)))
        found = self._connections.known(TCP, key)
        if found is None:
            found = self._open(packet, session, key, session.address, _less(session.port))
        self._listen(found)

    def answer(self, packet: Packet, session: HelpedEntry) -> Rewriting | None:
        """A server's packet: what of it is to be rewritten."""
        if session.state != tcp.ESTABLISHED or session.mode == ACTIVE:
            return None
        payload = _payload(packet)
        if session.mode == PASV:
            said = words.plain(payload, b"227 ", b"(", wraps=self._wraps)
        else:
            said = words.extended(payload, b"229 ", b"(", packet.family == AF_INET6, answer=True)
        if said is None:
            return None
        address, port = said.address or session.address, _port(said.port)
        found = self._connections.replies[TCP].get(b"".join((address, session.client, port, NO_PORTS)))
        if found is None:
            key = b"".join((session.client, session.virtual, NO_PORTS, port))
            found = self._open(packet, session, key, address, port)
            self._connections.wait(found)
        shown = found.virtual_port
        if session.mode == EPSV:
            new = b"|||%d|" % int.from_bytes(shown, "big")
        else:
            new = b",".join(b"%d" % byte for byte in found.virtual + shown)
        session.mode = ACTIVE
        self._listen(found)
        return Rewriting(said.start, said.end - said.start, new)

    def _open(self, packet: Packet, session: HelpedEntry, key: bytes, address: bytes, port: bytes) -> ConnectionEntry:
        server = session.server
        forwarding = server.forwarding if server is not None else MASQUERADE
        flags = forwarding | F_INACTIVE | F_TRACKED | (F_NO_OUTPUT if forwarding != MASQUERADE else 0)
        made = self._connections.open(TCP, key, address, port, flags, server, packet.mark)
        self._connections.control(made, session)
        return made

    def _listen(self, connection: ConnectionEntry) -> None:
        connection.state = tcp.LISTEN
        connection.timeout = self._accounts.machines[TCP].timeouts[tcp.LISTEN]
        self._connections.used(connection)


def _payload(packet: Packet) -> bytes:
    data, start = packet.data, packet.offset
    size = (data[start + 12] >> 4) * 4
    return data[start + size :] if size >= 20 else b""


def _port(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _less(port: bytes) -> bytes:
    return (int.from_bytes(port, "big") - 1 & 0xFFFF).to_bytes(2, "big")
